"""The wire contract: Avro schemas, topics, and the codec between records and bytes.

The `.avsc` files are the truth for every language. Values travel in Confluent framing: a zero byte, the schema id as four
big-endian bytes, the Avro body.
"""
