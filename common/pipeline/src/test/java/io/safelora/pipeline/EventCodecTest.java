package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EventCodecTest {
    private static final String DOCUMENT =
            "{\"base\": \"s3://b/base\", \"aligned\": \"s3://b/aligned\", \"adapter\": \"s3://b/adapter\"}";
    private static final JobRequest REQUEST = JobDocument.parse(DOCUMENT);
    private static final ArtifactRef REF = new ArtifactRef("s3://b/manifest.json", "0".repeat(64), 7);
    private static final String TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    private static ConsumerRecord<byte[], byte[]> record(
            String topic, String key, String value, Map<String, String> headers) {
        ConsumerRecord<byte[], byte[]> record = new ConsumerRecord<>(
                topic, 2, 17, key == null ? null : key.getBytes(UTF_8), value == null ? null : value.getBytes(UTF_8));
        headers.forEach((name, text) -> record.headers().add(name, text.getBytes(UTF_8)));
        return record;
    }

    /** What a consumer gets of what a producer sent. */
    private static ConsumerRecord<byte[], byte[]> received(ProducerRecord<String, byte[]> sent) {
        ConsumerRecord<byte[], byte[]> record =
                new ConsumerRecord<>(sent.topic(), 2, 17, sent.key().getBytes(UTF_8), sent.value());
        for (Header header : sent.headers()) {
            record.headers().add(header);
        }
        return record;
    }

    private static EvaluationCompleted evaluation() {
        return new EvaluationCompleted(
                REQUEST,
                REF,
                REF,
                List.of(new Score("aligned", "gsm8k", "exact_match", 0.5, 4, true)),
                null,
                null,
                null,
                null);
    }

    /** An event as a newer version of the system would send it. */
    private static ConsumerRecord<byte[], byte[]> newer(Object data, String type) throws IOException {
        ObjectNode json = Json.MAPPER.valueToTree(data);
        json.put("invented", 1);
        if (json.has("request")) {
            json.withObject("request").put("invented", 1);
            json.withObject("/request/selection").put("invented", true);
        }
        json.withArray("scores").forEach(score -> ((ObjectNode) score).put("invented", "x"));
        if (!(data instanceof EvaluationCompleted)) {
            json.remove("scores");
        }
        return record(Topics.of(data.getClass()).topic(), "job-1", json.toString(), Map.of("ce_type", type));
    }

    @Test
    void whatIsWrittenIsRead() {
        AdapterTrained data = new AdapterTrained(REQUEST, REF, REF);
        Map<String, String> trace = Map.of("traceparent", TRACE, "tracestate", "a=b");
        ProducerRecord<String, byte[]> sent = EventCodec.write("job-1", "0-3", false, "lora-trainer", data, trace);
        ConsumerRecord<byte[], byte[]> record = received(sent);
        assertThat(EventCodec.read(record))
                .isEqualTo(new Event(
                        "job-1",
                        "0-3",
                        ContentAddress.of(REQUEST),
                        false,
                        Topics.of(AdapterTrained.class),
                        data,
                        trace))
                .isEqualTo(EventCodec.readAsClient(record));
        assertThat(sent.headers().headers("ce_replace")).isEmpty();
        assertThat(new String(record.headers().lastHeader("ce_source").value(), UTF_8))
                .isEqualTo("/safelora/lora-trainer");
    }

    @Test
    void aRequestBeginsARunAndMayReplaceAnother() {
        ProducerRecord<String, byte[]> sent = EventCodec.write("job-1", null, true, "cli", REQUEST, Map.of());
        assertThat(EventCodec.read(received(sent)))
                .isEqualTo(new Event(
                        "job-1",
                        "2-17",
                        ContentAddress.of(REQUEST),
                        true,
                        Topics.of(JobRequest.class),
                        REQUEST,
                        Map.of()));
    }

    @Test
    void aResultThatIsSentAgainIsTheSameEventAndAStatusNeverIs() {
        for (Object data : new Object[] {new AdapterTrained(REQUEST, REF, REF), REQUEST, status(State.RUNNING)}) {
            boolean same = id("job-1", "0-1", data).equals(id("job-1", "0-1", data));
            assertThat(same).as("%s", data).isEqualTo(data instanceof AdapterTrained);
        }
        AdapterTrained data = new AdapterTrained(REQUEST, REF, REF);
        assertThat(id("job-1", "0-1", data))
                .isNotEqualTo(id("job-2", "0-1", data))
                .isNotEqualTo(id("job-1", "0-2", data))
                .isNotEqualTo(id("job-1", "0-1", new AlignmentAnalyzed(REQUEST, REF)));
    }

    private static String id(String job, String run, Object data) {
        var headers = EventCodec.write(job, run, false, "x", data, Map.of()).headers();
        return new String(headers.lastHeader("ce_id").value(), UTF_8);
    }

    private static JobStatus status(State state) {
        return new JobStatus(state, "evaluator", 0.5, null, null, null, Instant.EPOCH, null, "0-1", null);
    }

    /** A later version of a stage may send a field more, to workers and to clients of an older one. */
    @Test
    void anEventWithAFieldMoreIsRead() throws IOException {
        ConsumerRecord<byte[], byte[]> evaluation = newer(evaluation(), "io.safelora.evaluation.completed.v1");
        assertThat(EventCodec.read(evaluation).data()).isEqualTo(evaluation());
        assertThat(EventCodec.readAsClient(evaluation).data()).isEqualTo(evaluation());
        ConsumerRecord<byte[], byte[]> status = newer(status(State.FAILED), "io.safelora.job.status.v1");
        assertThat(EventCodec.readAsClient(status).data()).isEqualTo(status(State.FAILED));
    }

    @Test
    void whatAUserWritesIsReadToTheLetterByWorkers() {
        String document = DOCUMENT.replace("{\"base\"", "{\"selection\": {\"invented\": 1}, \"base\"");
        ConsumerRecord<byte[], byte[]> record = record(Topics.JOBS, "job-1", document, Map.of());
        assertThatThrownBy(() -> EventCodec.read(record))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining("invented");
        Event seen = EventCodec.readAsClient(record);
        assertThat(seen.data()).isEqualTo(REQUEST);
        assertThat(seen.run()).isEqualTo("2-17");
        assertThat(seen.requestSha256()).as("of another document").isNull();
    }

    /** A repair that an older client does not know is none of its business. */
    @Test
    void aClientReadsPastValuesThatItDoesNotKnow() throws IOException {
        ObjectNode json = Json.MAPPER.valueToTree(evaluation());
        json.withObject("/request/selection").put("repair", "invented");
        ConsumerRecord<byte[], byte[]> record = record(Topics.EVALUATIONS, "job-1", json.toString(), Map.of());
        assertThatThrownBy(() -> EventCodec.read(record)).hasMessageContaining("repair");
        assertThat(((EvaluationCompleted) EventCodec.readAsClient(record).data()).scores())
                .hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "[]", "{", "null", "{\"request\": 1}"})
    void dataOfAnotherShapeAreRefused(String data) {
        for (String topic : List.of(Topics.ALIGNMENTS, Topics.JOBS)) {
            ConsumerRecord<byte[], byte[]> record = record(topic, "job-1", data, Map.of());
            assertThatThrownBy(() -> EventCodec.read(record)).isInstanceOf(InvalidJobException.class);
            assertThatThrownBy(() -> EventCodec.readAsClient(record)).isInstanceOf(InvalidJobException.class);
        }
        assertThatThrownBy(() -> EventCodec.read(record(Topics.ALIGNMENTS, "job-1", data, Map.of())))
                .hasMessageStartingWith("the data is not io.safelora.alignment.analyzed.v1: ")
                .message()
                .doesNotContain("$")
                .doesNotEndWith(": ");
    }

    @ParameterizedTest
    @CsvSource(
            nullValues = "null",
            value = {
                "safelora.adapters, null, the header ce_type is missing; safelora.adapters carries more "
                        + "than one type of event",
                "safelora.alignments, io.safelora.adapter.trained.v1, ce_type "
                        + "\"io.safelora.adapter.trained.v1\" is not an event of safelora.alignments that this "
                        + "version knows",
                "safelora.alignments, io.safelora.alignment.analyzed.v2, ce_type "
                        + "\"io.safelora.alignment.analyzed.v2\" is not an event of safelora.alignments that this "
                        + "version knows"
            })
    void theTypeIsNamedWhereItIsUnknown(String topic, String type, String message) {
        Map<String, String> headers = type == null ? Map.of() : Map.of("ce_type", type);
        assertThatThrownBy(() -> EventCodec.read(record(topic, "job-1", "{}", headers)))
                .isInstanceOf(InvalidJobException.class)
                .hasMessage(message);
    }

    @Test
    void keyAndSubjectAreTheJobsId() {
        assertThat(EventCodec.read(record(Topics.JOBS, null, DOCUMENT, Map.of("ce_subject", "a")))
                        .jobId())
                .isEqualTo("a");
        assertThat(EventCodec.read(record(Topics.JOBS, "a", DOCUMENT, Map.of("ce_subject", "a")))
                        .jobId())
                .isEqualTo("a");
        String named = "job-" + ContentAddress.of(REQUEST).substring(0, 32);
        assertThat(EventCodec.read(record(Topics.JOBS, null, DOCUMENT, Map.of()))
                        .jobId())
                .isEqualTo(named);
        assertThat(EventCodec.read(record(Topics.JOBS, "", DOCUMENT, Map.of())).jobId())
                .isEqualTo(named);
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOBS, "b", DOCUMENT, Map.of("ce_subject", "a"))))
                .hasMessage("ce_subject \"a\" and the record's key \"b\" differ; both are the job's id");
        String status = new String(Json.canonical(status(State.RUNNING)), UTF_8);
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOB_STATUS, null, status, Map.of())))
                .isInstanceOf(InvalidJobException.class);
    }

    @Test
    void whoseJobAnUnreadableRecordIs() {
        assertThat(EventCodec.owner(record(Topics.JOBS, "a", "{", Map.of()))).contains("a");
        assertThat(EventCodec.owner(record(Topics.JOBS, "a", "{", Map.of("ce_subject", "a"))))
                .contains("a");
        assertThat(EventCodec.owner(record(Topics.JOBS, null, "{", Map.of("ce_subject", "a"))))
                .contains("a");
        assertThat(EventCodec.owner(record(Topics.JOBS, "b", "{", Map.of("ce_subject", "a"))))
                .isEmpty();
        assertThat(EventCodec.owner(record(Topics.JOBS, "a", null, Map.of()))).isEmpty();
        assertThat(EventCodec.owner(record(Topics.JOBS, "../a", "{", Map.of()))).isEmpty();
        assertThat(EventCodec.owner(record(Topics.JOBS, null, "{", Map.of()))).isEmpty();
    }

    @Test
    void aRunIsPartitionAndOffset() {
        String status = new String(Json.canonical(status(State.RUNNING)), UTF_8);
        assertThat(EventCodec.read(record(Topics.JOB_STATUS, "a", status, Map.of("ce_run", "0-12")))
                        .run())
                .isEqualTo("0-12");
        for (String other : List.of("", "0", "0-", "a-1", "0-1-2", "0-12345678901234567890")) {
            assertThat(EventCodec.read(record(Topics.JOB_STATUS, "a", status, Map.of("ce_run", other)))
                            .run())
                    .as(other)
                    .isNull();
        }
        assertThat(EventCodec.runHeader(record(Topics.JOBS, "a", "", Map.of("ce_run", "x"))))
                .isEqualTo("x");
    }

    @Test
    void aTraceThatIsTooLongIsLeftOut() {
        assertThat(EventCodec.trace(
                        record(Topics.JOBS, "a", "", Map.of("traceparent", TRACE, "tracestate", "x".repeat(513)))))
                .isEqualTo(Map.of("traceparent", TRACE));
        assertThat(EventCodec.trace(record(Topics.JOBS, "a", "", Map.of("tracestate", "x".repeat(512)))))
                .containsKey("tracestate");
    }

    @Test
    void structuredModeIsRead() {
        Map<String, String> type = Map.of("content-type", "application/cloudevents+json");
        String event =
                "{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"/me\", \"subject\": \"a\", \"traceparent\": \""
                        + TRACE
                        + "\", \"replace\": \"true\", \"run\": \"0-1\", \"type\": "
                        + "\"io.safelora.job.requested.v1\", \"data\": "
                        + DOCUMENT + "}";
        Event read = EventCodec.read(record(Topics.JOBS, null, event, type));
        assertThat(read.data()).isEqualTo(REQUEST);
        assertThat(read.replace()).isTrue();
        assertThat(read.run()).as("a request begins its own").isEqualTo("2-17");
        assertThat(read.trace()).isEqualTo(Map.of("traceparent", TRACE));
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOBS, "a", null, type)))
                .hasMessage("the record has no value; it must hold a CloudEvent");
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOBS, "a", null, Map.of())))
                .hasMessage("the record has no value; it must hold the JSON of io.safelora.job.requested.v1");
        String noData = event.replace(", \"data\": " + DOCUMENT, "");
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOBS, "a", noData, type)))
                .hasMessage("the record has no value; it must hold the JSON of io.safelora.job.requested.v1");
        assertThatThrownBy(() -> EventCodec.read(record(Topics.JOBS, "a", "{]", type)))
                .hasMessageStartingWith(
                        "the value is not a CloudEvent of content-type \"application/cloudevents+json\": ");
    }
}
