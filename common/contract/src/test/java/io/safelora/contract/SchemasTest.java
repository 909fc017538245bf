package io.safelora.contract;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaId;
import com.networknt.schema.SchemaLocation;
import com.networknt.schema.SpecVersion;
import java.lang.reflect.RecordComponent;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

class SchemasTest {
    static final List<Topics.EventType> types = Topics.EVENT_TYPES;

    /** What a schema says is the default must be what the record does with an absent field, and the other way round. */
    @ParameterizedTest
    @ValueSource(classes = {JobRequest.class, TrainingOptions.class, SelectionOptions.class, EvaluationTask.class})
    void documentedDefaultsAreTheRealOnes(Class<?> type) throws Exception {
        RecordComponent[] components = type.getRecordComponents();
        Object empty = type.getConstructor(
                        Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new))
                .newInstance(new Object[components.length]);
        JsonNode actual = Json.MAPPER.valueToTree(empty);
        JsonNode properties = Schemas.of(type).get("properties");
        assertThat(properties.size()).isEqualTo(components.length);
        properties.fields().forEachRemaining(property -> {
            JsonNode documented = property.getValue().get("default");
            JsonNode real = actual.get(property.getKey());
            if (real != null && documented == null) {
                assertThat(property.getValue().path("description").asText())
                        .as("%s has the default %s, which its schema does not tell", property.getKey(), real)
                        .contains("default: ");
                return;
            }
            JsonNode expected = documented != null && property.getKey().equals("selection")
                    ? Json.MAPPER.valueToTree(read(documented, SelectionOptions.class))
                    : documented;
            if (real != null && real.isNumber() && expected.isNumber()) {
                assertThat(expected.doubleValue()).as(property.getKey()).isEqualTo(real.doubleValue());
            } else {
                assertThat(expected).as(property.getKey()).isEqualTo(real);
            }
        });
    }

    @Test
    void requiredIsWhatCannotBeLeftOut() {
        assertThat(required(Schemas.of(JobRequest.class))).containsExactly("base", "aligned");
        assertThat(required(Schemas.of(TrainingOptions.class))).containsExactly("data");
        assertThat(required(Schemas.of(EvaluationTask.class))).containsExactly("task", "data");
        assertThat(required(Schemas.of(ArtifactRef.class))).containsExactly("uri", "sha256", "size");
    }

    @ParameterizedTest
    @FieldSource("types")
    void schemasAreValidAndTheirPropertiesAreTheMappers(Topics.EventType type) throws Exception {
        ObjectNode schema = Schemas.of(type.data());
        var meta = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
                .getSchema(SchemaLocation.of(SchemaId.V202012));
        assertThat(meta.validate(schema)).isEmpty();
        // Every component, written by the mapper, is a property of the schema under the same name.
        Object[] values = Arrays.stream(type.data().getRecordComponents())
                .map(component -> sample(component.getType()))
                .toArray();
        Object sample = type.data().getDeclaredConstructors()[0].newInstance(values);
        List<String> written = new java.util.ArrayList<>();
        Json.MAPPER.valueToTree(sample).fieldNames().forEachRemaining(written::add);
        List<String> declared = new java.util.ArrayList<>();
        schema.get("properties").fieldNames().forEachRemaining(declared::add);
        assertThat(declared).isEqualTo(written);
        for (JsonNode property : schema.findValues("properties")) {
            property.fieldNames().forEachRemaining(name -> assertThat(name).matches("[a-z][a-z0-9_]*"));
        }
        assertThat(schema.findValues("additionalProperties"))
                .isNotEmpty()
                .allMatch(node -> node.equals(Json.MAPPER.getNodeFactory().booleanNode(false)));
    }

    @Test
    void canonicalJsonIsSortedWhateverTheSource() throws Exception {
        assertThat(new String(Json.canonical(SelectionOptions.DEFAULTS)))
                .startsWith("{\"blend\":1.0,\"energy\":0.9,\"gamma\":1.0,\"number\":30,\"projector\":\"approximate\"");
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("z", 1);
        map.put("a", Map.of("y", 2, "b", List.of("n", "m")));
        String sorted = "{\"a\":{\"b\":[\"n\",\"m\"],\"y\":2},\"z\":1}";
        assertThat(new String(Json.canonical(map))).isEqualTo(sorted);
        assertThat(new String(Json.canonical(new HashMap<>(map)))).isEqualTo(sorted);
        assertThat(new String(Json.canonical(Json.MAPPER.readTree("{\"z\":1,\"a\":{\"y\":2,\"b\":[\"n\",\"m\"]}}"))))
                .isEqualTo(sorted);
        // JDK 17 and 21 write this number differently (JDK-4511638).
        assertThat(new String(Json.canonical(2.0e-3 / 1e20))).isEqualTo("2.0E-23");
        assertThat(new String(Json.canonical(2.2e-322))).isEqualTo("2.2E-322");
    }

    @Test
    void timesAreIso8601() {
        var status = new JobEvent.JobStatus(
                JobEvent.JobStatus.State.RUNNING,
                null,
                null,
                null,
                null,
                null,
                Instant.parse("2026-01-02T03:04:05Z"),
                null,
                null,
                null);
        assertThat(new String(Json.canonical(status)))
                .isEqualTo("{\"at\":\"2026-01-02T03:04:05Z\",\"state\":\"RUNNING\"}");
        assertThat(Schemas.of(JobEvent.JobStatus.class)
                        .at("/properties/at/format")
                        .asText())
                .isEqualTo("date-time");
    }

    private static Object read(JsonNode node, Class<?> type) {
        try {
            return Json.MAPPER.treeToValue(node, type);
        } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
            throw new AssertionError(e);
        }
    }

    private static List<String> required(JsonNode schema) {
        List<String> names = new java.util.ArrayList<>();
        schema.path("required").forEach(name -> names.add(name.asText()));
        return names;
    }

    private static Object sample(Class<?> type) {
        if (type.isEnum()) {
            return type.getEnumConstants()[0];
        }
        if (type == JobRequest.class) {
            return new JobRequest("n", "s3://b", "s3://a", null, null, null, null, null, null, null, null, null);
        }
        if (type == Requirements.class) {
            return Requirements.NONE;
        }
        if (type == JobEvent.Verdict.class) {
            return new JobEvent.Verdict(null, 0.95, List.of());
        }
        if (type == ArtifactRef.class) {
            return new ArtifactRef("s3://x", "0".repeat(64), 1);
        }
        if (type == TrainingOptions.class) {
            return TrainingOptions.of(Json.MAPPER.createObjectNode().put("data", "s3://d"));
        }
        if (type == JobEvent.TrainingStep.class) {
            return new JobEvent.TrainingStep(1, 2, 0.5, 1e-4, 100);
        }
        if (type == SelectionOptions.class) {
            return SelectionOptions.DEFAULTS;
        }
        return Map.<Class<?>, Object>of(
                        String.class,
                        "s3://x",
                        long.class,
                        1L,
                        int.class,
                        1,
                        Double.class,
                        0.5,
                        Instant.class,
                        Instant.EPOCH,
                        List.class,
                        List.of())
                .get(type);
    }
}
