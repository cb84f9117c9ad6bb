package benchmark;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.Stores;

/**
 * One-minute candles of the trade stream by Kafka Streams: RocksDB window store, changelog, output conflated by the record
 * cache at each commit.
 *
 * Arguments: bootstrap, application id, input topic, output topic, state folder, threads, schema id of trades, schema id of
 * time marks. Ends on SIGTERM.
 */
public final class Candles {
    private static final Duration MINUTE = Duration.ofMinutes(1);
    private static final Duration GRACE = Duration.ofSeconds(2);

    private Candles() {}

    public static void main(String[] arguments) throws InterruptedException {
        Topology topology = topology(arguments[2], arguments[3], new TradeDeserializer(
                Integer.parseInt(arguments[6]), Integer.parseInt(arguments[7])));
        KafkaStreams streams = new KafkaStreams(topology, properties(arguments));
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                ended.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        ended.await();
    }

    private static Topology topology(String input, String output, TradeDeserializer deserializer) {
        Serde<Trade> trades = Serdes.serdeFrom((topic, trade) -> {
            throw new UnsupportedOperationException("trades are only read");
        }, deserializer);
        long retention = MINUTE.plus(GRACE).toMillis();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.Bytes(), trades)
                        .withTimestampExtractor((record, partitionTime) -> ((Trade) record.value()).eventTime / 1000))
                .filter((instrument, trade) -> trade.isTrade)
                .groupByKey()
                .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
                .aggregate(Candle::new, (instrument, trade, candle) -> candle.add(trade),
                        Materialized.<Bytes, Candle>as(Stores.persistentWindowStore(
                                        "candles", Duration.ofMillis(retention), MINUTE, false))
                                .withKeySerde(Serdes.Bytes())
                                .withValueSerde(Candle.serde())
                                .withCachingEnabled())
                .toStream()
                .map((window, candle) -> KeyValue.pair(key(window), candle))
                .to(output, Produced.with(Serdes.ByteArray(), Candle.serde()));
        return builder.build();
    }

    private static byte[] key(Windowed<Bytes> window) {
        String instrument = new String(window.key().get(), StandardCharsets.UTF_8);
        return (instrument + "|1m|" + window.window().start() * 1000).getBytes(StandardCharsets.UTF_8);
    }

    private static Properties properties(String[] arguments) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[5]);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        return properties;
    }
}
