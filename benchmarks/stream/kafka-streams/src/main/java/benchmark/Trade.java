package benchmark;

/** What the fold needs of one record of the trade stream. Prices and sizes are unscaled at scale 12, times microseconds. */
final class Trade {
    /** False for a time mark, which has nothing but its time. */
    final boolean isTrade;
    final long eventTime;
    final long id;
    final long sequence;
    final long price;
    final long size;

    Trade(boolean isTrade, long eventTime, long id, long sequence, long price, long size) {
        this.isTrade = isTrade;
        this.eventTime = eventTime;
        this.id = id;
        this.sequence = sequence;
        this.price = price;
        this.size = size;
    }
}
