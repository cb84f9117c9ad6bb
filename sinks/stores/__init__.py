"""The stores: one file each, named as in the configuration. A file whose name begins with an underscore is a part of one."""
