package io.safelora.pipeline;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.kafka.KafkaMessageFactory;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Schemas;
import io.safelora.contract.Topics;
import io.safelora.contract.Topics.EventType;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;

/**
 * Events as Kafka records: CloudEvents 1.0 in binary mode, key and subject the job id. A record without CloudEvents
 * headers, as plain clients write it, is read by its topic, key and value.
 */
final class EventCodec {
    private static final Pattern JOB_ID = Pattern.compile("[A-Za-z0-9._-]{1,128}");
    private static final List<String> TRACE_HEADERS = List.of("traceparent", "tracestate");
    private static final int MAX_TRACE_CHARS = 512;
    // A later version of a stage may send a field more; an event of the same version stays readable.
    private static final ObjectReader LENIENT =
            Json.MAPPER.reader().without(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
    private static final Map<Class<?>, JsonSchema> SCHEMAS = new ConcurrentHashMap<>();

    private EventCodec() {}

    static boolean isJobId(String id) {
        return id != null && JOB_ID.matcher(id).matches();
    }

    /**
     * Reads and validates a record.
     *
     * @throws InvalidJobException if it is no event of this system, or a job request that cannot be run
     */
    static Event read(ConsumerRecord<byte[], byte[]> record) {
        EventType type = type(record);
        if (record.value() == null) {
            throw new InvalidJobException("the record has no value; it must hold the JSON of " + type.type());
        }
        Object data = type.data() == JobRequest.class
                ? JobDocument.parse(new String(record.value(), StandardCharsets.UTF_8))
                : parse(record.value(), type);
        return new Event(jobId(record, data), type, data, trace(record));
    }

    private static EventType type(ConsumerRecord<?, ?> record) {
        String contentType = header(record, "content-type");
        if (contentType != null && contentType.startsWith("application/cloudevents")) {
            throw new InvalidJobException("the CloudEvent is in structured mode; send it in binary mode (ce_ headers)");
        }
        String ceType = header(record, "ce_type");
        List<EventType> possible = Topics.EVENT_TYPES.stream()
                .filter(t -> t.topic().equals(record.topic()))
                .filter(t -> ceType == null || t.type().equals(ceType))
                .toList();
        if (possible.size() == 1) {
            return possible.get(0);
        }
        throw new InvalidJobException(
                ceType == null
                        ? "the header ce_type is missing; " + record.topic() + " carries more than one type of event"
                        : "ce_type " + shown(ceType) + " is no event of " + record.topic()
                                + " that this version knows");
    }

    private static String jobId(ConsumerRecord<byte[], byte[]> record, Object data) {
        String subject = header(record, "ce_subject");
        String key = record.key() == null || record.key().length == 0
                ? null
                : new String(record.key(), StandardCharsets.UTF_8);
        if (subject != null && key != null && !subject.equals(key)) {
            throw new InvalidJobException("ce_subject " + shown(subject) + " and the record's key " + shown(key)
                    + " differ; both are the job's id");
        }
        String id = subject != null ? subject : key;
        if (id == null && data instanceof JobRequest) {
            return "job-" + ContentAddress.of(data).substring(0, 32);
        }
        if (!isJobId(id)) {
            throw new InvalidJobException(
                    "the job id " + shown(id) + " is refused; the record's key must be 1 to 128 of A-Z a-z 0-9 . _ -");
        }
        return id;
    }

    /** The id under which a refused record is reported: its own where it has a fit one, else one made of its bytes. */
    static String reportId(ConsumerRecord<byte[], byte[]> record) {
        String key = record.key() == null ? null : new String(record.key(), StandardCharsets.UTF_8);
        for (String id : new String[] {header(record, "ce_subject"), key}) {
            if (isJobId(id)) {
                return id;
            }
        }
        String bytes = record.value() == null ? "" : new String(record.value(), StandardCharsets.ISO_8859_1);
        return "job-" + ContentAddress.of(bytes).substring(0, 32);
    }

    private static Object parse(byte[] json, EventType type) {
        try {
            JsonNode document = Json.MAPPER.readTree(json);
            String problems = SCHEMAS.computeIfAbsent(type.data(), EventCodec::schema).validate(document).stream()
                    .filter(problem -> !problem.getType().equals("additionalProperties"))
                    .map(problem -> problem.getMessage().replaceFirst("^\\$\\.?", ""))
                    .sorted()
                    .distinct()
                    .limit(5)
                    .collect(Collectors.joining("; "));
            if (!problems.isEmpty()) {
                throw new InvalidJobException("the data is no " + type.type() + ": " + problems);
            }
            return LENIENT.forType(type.data()).readValue(document);
        } catch (JsonProcessingException e) {
            throw new InvalidJobException(
                    "the data is no " + type.type() + ": "
                            + e.getOriginalMessage().lines().findFirst().orElse(""),
                    e);
        } catch (IOException e) {
            throw new InvalidJobException("the data is no " + type.type(), e);
        }
    }

    private static JsonSchema schema(Class<?> data) {
        return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
                .getSchema(
                        Schemas.of(data),
                        SchemaValidatorsConfig.builder().locale(Locale.ENGLISH).build());
    }

    static Map<String, String> trace(ConsumerRecord<?, ?> record) {
        Map<String, String> trace = new LinkedHashMap<>();
        for (String name : TRACE_HEADERS) {
            String value = header(record, name);
            if (value != null && value.length() <= MAX_TRACE_CHARS) {
                trace.put(name, value);
            }
        }
        return trace;
    }

    /** A record that carries {@code data}, a record of the contract: a job request or an event. */
    static ProducerRecord<String, byte[]> write(String jobId, String source, Object data, Map<String, String> trace) {
        EventType type = Topics.of(data.getClass());
        byte[] json = Json.canonical(data);
        // A result that is sent again after a crash is the same event, and has the same id; a status never is.
        UUID id = data instanceof JobStatus
                ? UUID.randomUUID()
                : UUID.nameUUIDFromBytes(
                        (type.type() + " " + jobId + " " + ContentAddress.of(data)).getBytes(StandardCharsets.UTF_8));
        ProducerRecord<String, byte[]> record = KafkaMessageFactory.<String>createWriter(type.topic(), jobId)
                .writeBinary(CloudEventBuilder.v1()
                        .withId(id.toString())
                        .withSource(URI.create("/safelora/" + source))
                        .withType(type.type())
                        .withSubject(jobId)
                        .withTime(OffsetDateTime.now(ZoneOffset.UTC))
                        .withDataContentType("application/json")
                        .withData(json)
                        .build());
        trace.forEach((name, value) -> record.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
        return record;
    }

    private static String header(ConsumerRecord<?, ?> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null || header.value() == null ? null : new String(header.value(), StandardCharsets.UTF_8);
    }

    /** Hostile text, fit for a log line. */
    private static String shown(String text) {
        if (text == null) {
            return "(none)";
        }
        String line = text.replaceAll("[^\\x20-\\x7e]", "?");
        return "\"" + (line.length() > 130 ? line.substring(0, 130) + "..." : line) + "\"";
    }
}
