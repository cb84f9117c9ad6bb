package benchmark;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** One candle in longs; the amount is exact in two of them (128 bits, scale 24). */
final class Candle {
    private static final int BYTES = 13 * Long.BYTES;

    private long lastId = -1;
    private long count;
    private long open;
    private long high;
    private long low;
    private long close;
    private long volume;
    private long amountHigh;
    private long amountLow;
    private long firstTime;
    private long firstSequence;
    private long lastTime;
    private long lastSequence;

    /**
     * Takes in a trade. One whose id is not above the last is a duplicate: ids rise by one, and a repeated trade has the event
     * time it had before, so it meets the candle that remembers it.
     */
    Candle add(Trade trade) {
        if (trade.id <= lastId) {
            return this;
        }
        if (count == 0 || before(trade.eventTime, trade.sequence, firstTime, firstSequence)) {
            open = trade.price;
            firstTime = trade.eventTime;
            firstSequence = trade.sequence;
        }
        if (count == 0 || before(lastTime, lastSequence, trade.eventTime, trade.sequence)) {
            close = trade.price;
            lastTime = trade.eventTime;
            lastSequence = trade.sequence;
        }
        high = count == 0 ? trade.price : Math.max(high, trade.price);
        low = count == 0 ? trade.price : Math.min(low, trade.price);
        volume = Math.addExact(volume, trade.size);
        addAmount(trade.price, trade.size);
        count++;
        lastId = trade.id;
        return this;
    }

    private void addAmount(long price, long size) {
        long product = price * size;
        long sum = amountLow + product;
        long carry = Long.compareUnsigned(sum, product) < 0 ? 1 : 0;
        amountHigh = Math.addExact(amountHigh, Math.multiplyHigh(price, size) + carry);
        amountLow = sum;
    }

    private static boolean before(long time, long sequence, long otherTime, long otherSequence) {
        return time < otherTime || time == otherTime && sequence < otherSequence;
    }

    static Serde<Candle> serde() {
        Serializer<Candle> serializer = (topic, candle) -> candle == null ? null : candle.toBytes();
        Deserializer<Candle> deserializer = (topic, data) -> data == null ? null : fromBytes(data);
        return Serdes.serdeFrom(serializer, deserializer);
    }

    private byte[] toBytes() {
        return ByteBuffer.allocate(BYTES)
                .putLong(lastId).putLong(count).putLong(open).putLong(high).putLong(low).putLong(close).putLong(volume)
                .putLong(amountHigh).putLong(amountLow)
                .putLong(firstTime).putLong(firstSequence).putLong(lastTime).putLong(lastSequence)
                .array();
    }

    private static Candle fromBytes(byte[] data) {
        ByteBuffer in = ByteBuffer.wrap(data);
        Candle candle = new Candle();
        candle.lastId = in.getLong();
        candle.count = in.getLong();
        candle.open = in.getLong();
        candle.high = in.getLong();
        candle.low = in.getLong();
        candle.close = in.getLong();
        candle.volume = in.getLong();
        candle.amountHigh = in.getLong();
        candle.amountLow = in.getLong();
        candle.firstTime = in.getLong();
        candle.firstSequence = in.getLong();
        candle.lastTime = in.getLong();
        candle.lastSequence = in.getLong();
        return candle;
    }
}
