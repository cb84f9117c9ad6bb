"""Topics to stores: a worker that keeps a store in step with the topics it reads, no record lost and none stored twice.

`worker` turns the loop, `intake` reads Kafka, `store` is the protocol of what is written to, and `stores/` holds one file
for each store. Between them stand pure parts: `translation` (bytes to rows), `batching`, `placement` (where reading begins).
"""
