package benchmark;

import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/** Reads Confluent-framed Avro by hand, field by field in the order of the schema, into longs. */
final class TradeDeserializer implements Deserializer<Trade> {
    private final int tradeSchema;
    private final int markSchema;

    TradeDeserializer(int tradeSchema, int markSchema) {
        this.tradeSchema = tradeSchema;
        this.markSchema = markSchema;
    }

    @Override
    public Trade deserialize(String topic, byte[] data) {
        Reader in = new Reader(data);
        int schema = in.header();
        in.skipBytes(); // instrument: the record's key says the same
        if (schema == tradeSchema) {
            return trade(in);
        }
        if (schema == markSchema) {
            return new Trade(false, in.varint(), 0, 0, 0, 0);
        }
        throw new SerializationException("schema " + schema + " is neither a trade's nor a time mark's");
    }

    private static Trade trade(Reader in) {
        long id = in.digits();
        long sequence = in.varint();
        long price = in.unscaled();
        long size = in.unscaled();
        if (in.varint() != 0) {
            in.varint(); // side
        }
        boolean hasExchangeTime = in.varint() != 0;
        long exchangeTime = hasExchangeTime ? in.varint() : 0;
        long receivedAt = in.varint();
        return new Trade(true, hasExchangeTime ? exchangeTime : receivedAt, id, sequence, price, size);
    }

    /** A position in the bytes of one record. */
    private static final class Reader {
        private final byte[] data;
        private int at;

        Reader(byte[] data) {
            this.data = data;
        }

        int header() {
            if (data.length < 5 || data[0] != 0) {
                throw new SerializationException("not framed Avro");
            }
            at = 5;
            return (data[1] & 0xff) << 24 | (data[2] & 0xff) << 16 | (data[3] & 0xff) << 8 | (data[4] & 0xff);
        }

        long varint() {
            long value = 0;
            int shift = 0;
            byte next;
            do {
                next = data[at++];
                value |= (long) (next & 0x7f) << shift;
                shift += 7;
            } while (next < 0);
            return value >>> 1 ^ -(value & 1);
        }

        void skipBytes() {
            int length = (int) varint();
            at += length;
        }

        long digits() {
            int end = (int) varint() + at;
            long value = 0;
            while (at < end) {
                value = value * 10 + (data[at++] - '0');
            }
            return value;
        }

        long unscaled() {
            int length = (int) varint();
            if (length > 8) {
                throw new SerializationException("a figure of " + length + " bytes does not fit a long");
            }
            long value = length == 0 ? 0 : data[at];
            int end = at + length;
            for (at++; at < end; at++) {
                value = value << 8 | data[at] & 0xff;
            }
            at = end;
            return value;
        }
    }
}
