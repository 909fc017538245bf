package io.safelora.pipeline;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.kafka.KafkaMessageFactory;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobId;
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
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;

/**
 * Events as Kafka records: CloudEvents 1.0, key and subject the job id. They are written in binary mode, and read in
 * binary and structured mode. A record without CloudEvents headers, as plain clients write it, is read by its topic,
 * key and value.
 */
final class EventCodec {
    private static final Pattern RUN = Pattern.compile("\\d{1,10}-\\d{1,19}");
    private static final List<String> TRACE_HEADERS = List.of("traceparent", "tracestate");
    private static final int MAX_TRACE_CHARS = 512;

    /** What of a newer version is tolerated in the data of an event. */
    private enum Tolerance {
        /** Fields more: a later version of a stage may send them, and the work does not depend on them. */
        FIELDS("additionalProperties"),
        /** And values that an enumeration did not have, which are read as null. */
        FIELDS_AND_VALUES("additionalProperties", "enum");

        /** By the names of JSON Schema's keywords. */
        final Set<String> keywords;

        final ObjectReader reader;

        Tolerance(String... keywords) {
            this.keywords = Set.of(keywords);
            ObjectReader tolerant = Json.MAPPER.reader().without(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
            this.reader = this.keywords.contains("enum")
                    ? tolerant.with(DeserializationFeature.READ_UNKNOWN_ENUM_VALUES_AS_NULL)
                    : tolerant;
        }
    }

    private static final Map<Class<?>, JsonSchema> SCHEMAS = new ConcurrentHashMap<>();

    private EventCodec() {}

    /**
     * A record's CloudEvent, whichever mode it came in; of a record without one what its headers, key and value say.
     */
    private record Message(
            String type, String subject, String run, String replace, byte[] data, Map<String, String> trace) {}

    /**
     * Reads and validates a record for a worker. A job request must be one to the letter: a field that is not known is
     * a typing error of its user.
     *
     * @throws InvalidJobException if it is not an event of this system, or a job request that cannot be run
     */
    static Event read(ConsumerRecord<byte[], byte[]> record) {
        return read(record, EventCodec::request, Tolerance.FIELDS);
    }

    /**
     * Reads a record for one who looks on, and may be older than the system: what this version does not know in it is
     * left out. Of a request with more fields than this version knows no digest is told, since it would be another
     * document's.
     *
     * @throws InvalidJobException if it is not an event that can be understood
     */
    static Event readAsClient(ConsumerRecord<byte[], byte[]> record) {
        return read(record, EventCodec::knownPart, Tolerance.FIELDS_AND_VALUES);
    }

    /** A job request, and its digest. */
    private record Requested(JobRequest request, String sha256) {}

    private static Requested request(byte[] json) {
        JobRequest request = JobDocument.parse(new String(json, StandardCharsets.UTF_8));
        return new Requested(request, ContentAddress.of(request));
    }

    private static Requested knownPart(byte[] json) {
        try {
            return request(json);
        } catch (InvalidJobException newer) {
            JsonNode document = JobDocument.tree(new String(json, StandardCharsets.UTF_8));
            EventType type = Topics.of(JobRequest.class);
            return new Requested((JobRequest) parse(document, type, Tolerance.FIELDS_AND_VALUES), null);
        }
    }

    private static Event read(
            ConsumerRecord<byte[], byte[]> record, Function<byte[], Requested> requests, Tolerance tolerance) {
        Message message = message(record);
        EventType type = type(record.topic(), message.type());
        if (message.data() == null) {
            throw new InvalidJobException("the record has no value; it must hold the JSON of " + type.type());
        }
        boolean replace = "true".equals(message.replace());
        if (type.data() == JobRequest.class) {
            Requested requested = requests.apply(message.data());
            String jobId = jobId(record, message.subject(), requested.sha256());
            return new Event(
                    jobId, run(record), requested.sha256(), replace, type, requested.request(), message.trace());
        }
        JobEvent event = (JobEvent) parse(message.data(), type, tolerance);
        String sha256 = event.request() == null ? null : ContentAddress.of(event.request());
        String run = isRun(message.run()) ? message.run() : null;
        return new Event(jobId(record, message.subject(), null), run, sha256, replace, type, event, message.trace());
    }

    static boolean isRun(String run) {
        return run != null && RUN.matcher(run).matches();
    }

    /** The run that a record of safelora.jobs begins. */
    static String run(ConsumerRecord<?, ?> record) {
        return record.partition() + "-" + record.offset();
    }

    private static Message message(ConsumerRecord<byte[], byte[]> record) {
        String contentType = header(record, "content-type");
        if (contentType == null || !contentType.startsWith("application/cloudevents")) {
            return new Message(
                    header(record, "ce_type"),
                    header(record, "ce_subject"),
                    header(record, "ce_run"),
                    header(record, "ce_replace"),
                    record.value(),
                    trace(record));
        }
        if (record.value() == null) {
            throw new InvalidJobException("the record has no value; it must hold a CloudEvent");
        }
        try {
            CloudEvent event = KafkaMessageFactory.createReader(record).toEvent();
            return new Message(
                    event.getType(),
                    event.getSubject(),
                    extension(event, "run"),
                    extension(event, "replace"),
                    event.getData() == null ? null : event.getData().toBytes(),
                    // CloudEvents' distributed tracing extension has the names of the headers.
                    trace(name -> header(record, name) != null ? header(record, name) : extension(event, name)));
        } catch (RuntimeException e) {
            // The SDK has an exception of its own for most of this, and Jackson's and its builder's for the rest.
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new InvalidJobException(
                    "the value is not a CloudEvent of content-type " + JobId.shown(contentType) + ": "
                            + JobId.shown(
                                    cause instanceof JsonProcessingException json
                                            ? json.getOriginalMessage()
                                            : cause.getMessage()),
                    e);
        }
    }

    private static String extension(CloudEvent event, String name) {
        Object value = event.getExtension(name);
        return value == null ? null : value.toString();
    }

    private static EventType type(String topic, String ceType) {
        List<EventType> possible = Topics.EVENT_TYPES.stream()
                .filter(t -> t.topic().equals(topic))
                .filter(t -> ceType == null || t.type().equals(ceType))
                .toList();
        if (possible.size() == 1) {
            return possible.get(0);
        }
        throw new InvalidJobException(
                ceType == null
                        ? "the header ce_type is missing; " + topic + " carries more than one type of event"
                        : "ce_type " + JobId.shown(ceType) + " is not an event of " + topic
                                + " that this version knows");
    }

    private static String jobId(ConsumerRecord<byte[], byte[]> record, String subject, String requestSha256) {
        String key = key(record);
        if (subject != null && key != null && !subject.equals(key)) {
            throw new InvalidJobException("ce_subject " + JobId.shown(subject) + " and the record's key "
                    + JobId.shown(key) + " differ; both are the job's id");
        }
        String id = subject != null ? subject : key;
        if (id == null && requestSha256 != null) {
            return "job-" + requestSha256.substring(0, 32);
        }
        return JobId.checked(id);
    }

    private static String key(ConsumerRecord<byte[], byte[]> record) {
        return record.key() == null || record.key().length == 0
                ? null
                : new String(record.key(), StandardCharsets.UTF_8);
    }

    /**
     * Whose job a record that cannot be read would be: its key, where that is a fit id, the subject does not name
     * another, and there is a value. Empty for what belongs to no job.
     */
    static Optional<String> owner(ConsumerRecord<byte[], byte[]> record) {
        String key = key(record);
        String subject = header(record, "ce_subject");
        String id = subject != null ? subject : key;
        boolean agreed = subject == null || key == null || subject.equals(key);
        return record.value() != null && agreed && JobId.isFit(id) ? Optional.of(id) : Optional.empty();
    }

    /** The run that a record's header names, or null. */
    static String runHeader(ConsumerRecord<?, ?> record) {
        return header(record, "ce_run");
    }

    private static Object parse(byte[] json, EventType type, Tolerance tolerance) {
        try {
            return parse(Json.MAPPER.readTree(json), type, tolerance);
        } catch (IOException e) {
            throw unlike(type, e);
        }
    }

    private static Object parse(JsonNode document, EventType type, Tolerance tolerance) {
        String problems = SCHEMAS.computeIfAbsent(type.data(), EventCodec::schema).validate(document).stream()
                .filter(problem -> !tolerance.keywords.contains(problem.getType()))
                .map(problem -> problem.getMessage().replaceFirst("^\\$\\.?", ""))
                .sorted()
                .distinct()
                .limit(5)
                .collect(Collectors.joining("; "));
        if (!problems.isEmpty()) {
            throw new InvalidJobException("the data is not " + type.type() + ": " + problems);
        }
        try {
            return tolerance.reader.forType(type.data()).readValue(document);
        } catch (IOException e) {
            throw unlike(type, e);
        }
    }

    private static InvalidJobException unlike(EventType type, IOException e) {
        String why = e instanceof JsonProcessingException json ? json.getOriginalMessage() : e.toString();
        return new InvalidJobException(
                "the data is not " + type.type() + ": "
                        + why.lines().findFirst().orElse(""),
                e);
    }

    private static JsonSchema schema(Class<?> data) {
        return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
                .getSchema(
                        Schemas.of(data),
                        SchemaValidatorsConfig.builder().locale(Locale.ENGLISH).build());
    }

    static Map<String, String> trace(ConsumerRecord<?, ?> record) {
        return trace(name -> header(record, name));
    }

    private static Map<String, String> trace(UnaryOperator<String> values) {
        Map<String, String> trace = new LinkedHashMap<>();
        for (String name : TRACE_HEADERS) {
            String value = values.apply(name);
            if (value != null && value.length() <= MAX_TRACE_CHARS) {
                trace.put(name, value);
            }
        }
        return trace;
    }

    /**
     * A record that carries {@code data}, a record of the contract: a job request or an event.
     *
     * @param run the run that an event belongs to; null if it is not known, and for a request, which begins one
     * @param replace of a request: whether it may take the id from another document or run
     */
    static ProducerRecord<String, byte[]> write(
            String jobId, String run, boolean replace, String source, Object data, Map<String, String> trace) {
        EventType type = Topics.of(data.getClass());
        byte[] json = Json.canonical(data);
        // A result that is sent again after a crash is the same event, and has the same id; a status or a request never
        // is.
        UUID id = data instanceof JobStatus || data instanceof JobRequest
                ? UUID.randomUUID()
                : UUID.nameUUIDFromBytes((type.type() + " " + jobId + " " + run + " " + ContentAddress.of(data))
                        .getBytes(StandardCharsets.UTF_8));
        CloudEventBuilder event = CloudEventBuilder.v1()
                .withId(id.toString())
                .withSource(URI.create("/safelora/" + source))
                .withType(type.type())
                .withSubject(jobId)
                .withTime(OffsetDateTime.now(ZoneOffset.UTC))
                .withDataContentType("application/json")
                .withData(json);
        if (run != null) {
            event.withExtension("run", run);
        }
        if (replace) {
            event.withExtension("replace", "true");
        }
        ProducerRecord<String, byte[]> record =
                KafkaMessageFactory.<String>createWriter(type.topic(), jobId).writeBinary(event.build());
        trace.forEach((name, value) -> record.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
        return record;
    }

    private static String header(ConsumerRecord<?, ?> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null || header.value() == null ? null : new String(header.value(), StandardCharsets.UTF_8);
    }
}
