import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints the candles as they form: each version that is newer than what was printed of its candle before.
 *
 * <p>Arguments: broker, registry, group; what is missing comes from KAFKA_BOOTSTRAP, SCHEMA_REGISTRY_URL and KAFKA_GROUP. Ctrl-C
 * or SIGTERM ends it; started again, it goes on where it was. Delivery is at least once: after a crash the last lines may come
 * again. docs/topics.md says what the topics hold. Where Confluent's repository may be used, its KafkaAvroDeserializer does what
 * {@link #decode} does.
 */
public final class Consumer {
    private static final String TOPIC = "md.candles";
    private static final int FRAME = 5;

    /** Candles whose version is remembered. Corrections reach back a day: 1,440 candles of one minute for each instrument. */
    private static final int REMEMBERED = 100_000;

    /** Orders the versions of one candle: a later revision is higher, then a later source offset. */
    private record Version(int revision, long sourceOffset) {
        boolean isHigherThan(Version other) {
            return other == null
                    || revision > other.revision
                    || (revision == other.revision && sourceOffset > other.sourceOffset);
        }
    }

    private final HttpClient http = HttpClient.newHttpClient();
    private final GenericData exact = new GenericData();
    private final Map<Integer, GenericDatumReader<GenericRecord>> readers = new HashMap<>();
    private final Map<String, Version> printed =
            new LinkedHashMap<>() {
                @Override
                protected boolean removeEldestEntry(Map.Entry<String, Version> eldest) {
                    return size() > REMEMBERED;
                }
            };
    private final String registry;

    private Consumer(String registry) {
        this.registry = registry;
        exact.addLogicalTypeConversion(new Conversions.DecimalConversion());
        exact.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
    }

    public static void main(String[] arguments) throws Exception {
        var settings = new Properties();
        settings.put("bootstrap.servers", given(arguments, 0, "KAFKA_BOOTSTRAP", "127.0.0.1:9092"));
        settings.put("group.id", given(arguments, 2, "KAFKA_GROUP", "candle-printer-java"));
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        var printer = new Consumer(given(arguments, 1, "SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081"));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            var main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(consumer, main)));
            printer.run(consumer);
        }
    }

    private static String given(String[] arguments, int index, String variable, String otherwise) {
        return arguments.length > index ? arguments[index] : System.getenv().getOrDefault(variable, otherwise);
    }

    /** The one call that a consumer takes from another thread; the program ends when the main thread has left the group. */
    private static void stop(KafkaConsumer<?, ?> consumer, Thread main) {
        consumer.wakeup();
        try {
            main.join(10_000);
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }

    private void run(KafkaConsumer<String, byte[]> consumer) throws IOException, InterruptedException {
        consumer.subscribe(List.of(TOPIC));
        try {
            while (true) {
                ConsumerRecords<String, byte[]> batch = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<String, byte[]> message : batch) {
                    take(message);
                }
                if (!batch.isEmpty()) {
                    consumer.commitSync();
                }
            }
        } catch (WakeupException stopped) {
            // Asked to end: what was printed and not committed is printed again next time.
        }
    }

    private void take(ConsumerRecord<String, byte[]> message) throws IOException, InterruptedException {
        GenericRecord candle = decode(message.value());
        if (!candle.getSchema().getFullName().equals("tapeline.Candle")) {
            return; // the topic may get other records one day
        }
        var version = new Version((Integer) candle.get("revision"), (Long) candle.get("source_offset"));
        if (version.isHigherThan(printed.get(message.key()))) {
            printed.put(message.key(), version);
            System.out.println(line(candle));
        }
    }

    /** A zero byte, the schema's id in four bytes, the Avro body. */
    private GenericRecord decode(byte[] value) throws IOException, InterruptedException {
        if (value[0] != 0) {
            throw new IOException("not a framed Avro value: it begins with " + value[0]);
        }
        int id = ByteBuffer.wrap(value).getInt(1);
        if (!readers.containsKey(id)) {
            Schema schema = schema(id);
            readers.put(id, new GenericDatumReader<>(schema, schema, exact));
        }
        var body = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, null);
        return readers.get(id).read(null, body);
    }

    private Schema schema(int id) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).timeout(Duration.ofSeconds(10)).build();
        var answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("schema " + id + ": the registry answers " + answer.statusCode() + ": " + answer.body());
        }
        return new Schema.Parser().parse(new ObjectMapper().readTree(answer.body()).get("schema").asText());
    }

    private static String line(GenericRecord candle) {
        String figures =
                Stream.of("open", "high", "low", "close", "volume", "amount")
                        .map(name -> name + "=" + ((BigDecimal) candle.get(name)).toPlainString())
                        .collect(Collectors.joining(" "));
        return String.join(
                " ",
                candle.get("instrument").toString(),
                candle.get("interval").toString(),
                candle.get("open_time").toString(),
                candle.get("kind").toString(),
                "revision=" + candle.get("revision"),
                figures);
    }
}
