package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Schemas;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SweepOptions;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** docs/recipes/add-a-repair.md, step by step, of every repair that there is: fails for one that left a step out. */
class AddARepairTest {
    private static final Path ORACLE = oracle();

    @TempDir
    Path dir;

    @Test
    void everyPermittedClassHasANameInDocuments() {
        Set<Class<?>> made = Arrays.stream(SelectionOptions.Repair.values())
                .map(name -> repair(name).getClass())
                .collect(Collectors.toSet());
        assertThat(made)
                .hasSameSizeAs(SelectionOptions.Repair.values())
                .containsExactlyInAnyOrder(Repair.class.getPermittedSubclasses());
    }

    @ParameterizedTest
    @EnumSource(SelectionOptions.Repair.class)
    void theNameIsInTheSchemaTheDocumentsAndTheTables(SelectionOptions.Repair name) throws IOException {
        JsonNode schema = Schemas.of(JobRequest.class);
        assertThat(schema.at("/$defs/Repair/enum").toString()).contains("\"" + name + "\"");
        assertThat(description("repair")).contains(name + ":");
        String documents = Files.readString(Path.of("../../docs/job.md"));
        assertThat(documents).contains("`" + name + "`");
        assertThat(repair(name).label()).startsWith(name.toString());
    }

    @ParameterizedTest
    @EnumSource(SelectionOptions.Repair.class)
    void everyOptionIsInTheDocumentsAndASweepVariesIt(SelectionOptions.Repair name) {
        SelectionOptions options = options(name);
        assertThat(Repair.of(options).fields()).isNotEmpty();
        assertThat(name.needs()).isSubsetOf(names(SelectionOptions.class));
        for (String field : Repair.of(options).fields()) {
            assertThat(names(SelectionOptions.class)).contains(field);
            assertThat(names(SweepOptions.class)).contains(field);
            assertThat(description(field)).isNotEmpty();
            JsonNode value = Json.MAPPER.valueToTree(another(options, field));
            Map<String, Object> lists = Map.of("repair", List.of(name), field, List.of(value));
            Map<String, SelectionOptions> points = Sweep.points(options.with(Map.of("sweep", lists)));
            assertThat(points.values())
                    .as("the sweep's point with another " + field)
                    .anyMatch(point -> point.repair() == name
                            && Json.MAPPER.valueToTree(point).get(field).equals(value));
            // Two repairs of one label would be one in tables.
            assertThat(points)
                    .hasSizeGreaterThan(Sweep.points(options.with(Map.of("sweep", Map.of())))
                            .size());
        }
    }

    @ParameterizedTest
    @EnumSource(SelectionOptions.Repair.class)
    void bothFormsGoThroughTheWholePathAndLeaveTheOthersAlone(SelectionOptions.Repair name) throws IOException {
        SelectionOptions two = options(name).with(Map.of("strategy", "number", "number", 2));
        for (String kind : List.of("adapter", "tuned")) {
            Path out = dir.resolve(kind);
            Path before = ORACLE.resolve("llama/" + kind);
            SelectionReport report = new Repairing(FineTuned.open(before, sources())).run(two, out, Progress.NONE);
            assertThat(report.selected()).hasSize(Repair.of(two).everyModule() ? 4 : 2);
            assertThat(Json.MAPPER
                            .readTree(out.resolve(SelectionReport.FILE).toFile())
                            .get("options")
                            .get("repair")
                            .asText())
                    .isEqualTo(name.toString());
            assertThat(changed(kind, before, out)).isEqualTo(new TreeSet<>(report.selected()));
        }
    }

    /** drop is held against zero there. */
    @ParameterizedTest
    @EnumSource(value = SelectionOptions.Repair.class, names = "drop", mode = EnumSource.Mode.EXCLUDE)
    void itsNumbersAreHeldAgainstDenseOnes(SelectionOptions.Repair name) {
        assertThat(RepairTest.REPAIRS.values())
                .anyMatch(options -> SelectionOptions.of(options).repair() == name);
    }

    private static Set<String> changed(String kind, Path before, Path after) throws IOException {
        if (kind.equals("adapter")) {
            var repaired = PeftAdapter.open(after).modules();
            return PeftAdapter.open(before).modules().values().stream()
                    .filter(m -> !Arrays.equals(m.b(), repaired.get(m.name()).b()))
                    .map(PeftAdapter.LoraModule::name)
                    .collect(Collectors.toCollection(TreeSet::new));
        }
        Checkpoint from = Checkpoint.open(before);
        Checkpoint to = Checkpoint.open(after);
        return from.names().stream()
                .filter(tensor -> !from.map(tensor).equals(to.map(tensor)))
                .map(tensor -> tensor.replace(".weight", ""))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Repair repair(SelectionOptions.Repair name) {
        return Repair.of(options(name));
    }

    private static SelectionOptions options(SelectionOptions.Repair name) {
        return SelectionOptions.DEFAULTS.with(Map.of(
                "repair",
                name,
                "safety_adapter",
                ORACLE.resolve("llama/safety").toUri().toString()));
    }

    /** Another value than the one that {@code options} has. */
    private static Object another(SelectionOptions options, String field) {
        JsonNode value = Json.MAPPER.valueToTree(options).get(field);
        if (value.isInt()) {
            return value.asInt() + 1;
        }
        if (value.isDouble()) {
            return value.asDouble() / 2;
        }
        return switch (field) {
            case "projector" -> SelectionOptions.Projector.exact;
            case "strategy" -> SelectionOptions.Strategy.auto;
            default -> throw new IllegalArgumentException("say here what else " + field + " may be");
        };
    }

    private static Set<String> names(Class<? extends Record> type) {
        return Arrays.stream(type.getRecordComponents())
                .map(RecordComponent::getName)
                .map(name -> name.replaceAll("([A-Z])", "_$1").toLowerCase(java.util.Locale.ROOT))
                .collect(Collectors.toSet());
    }

    private static String description(String field) {
        return Schemas.of(SelectionOptions.class)
                .at("/properties/" + field + "/description")
                .asText();
    }

    private static Sources sources() throws IOException {
        return new Sources(
                Checkpoint.open(ORACLE.resolve("llama/base")),
                Checkpoint.open(ORACLE.resolve("llama/aligned")),
                PeftAdapter.open(ORACLE.resolve("llama/safety")));
    }

    private static Path oracle() {
        try {
            return Path.of(AddARepairTest.class.getResource("/oracle").toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
