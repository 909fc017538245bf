package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Multiple choice as lm-evaluation-harness has it: resources/tasks/make_choices.py ran it on the same tiny model. */
class LikelihoodsTest {
    private static final Path MODELS = Path.of("../causal-lm/src/test/resources/models");
    private static final Path TASKS = Path.of("src/test/resources/tasks");

    @TempDir
    Path dir;

    @Test
    void choicesAreTheHarnesss() throws IOException {
        for (String part : List.of("llama", "tokenizer")) {
            try (Stream<Path> files = Files.list(MODELS.resolve(part))) {
                for (Path file : files.toList()) {
                    Files.copy(file, dir.resolve(file.getFileName()));
                }
            }
        }
        JsonNode expected = Json.MAPPER.readTree(TASKS.resolve("choices.json").toFile());
        Path rows = TASKS.resolve("choices.jsonl");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32").forInference()) {
            for (boolean chat : new boolean[] {false, true}) {
                for (int shots : new int[] {0, 2}) {
                    Task task = TestTasks.ofFile(
                            TASKS.resolve("choices.yaml").toAbsolutePath(),
                            "{fewshot_data: 's3://d', fewshot_sampler: first_n, num_fewshot: " + shots
                                    + ", apply_chat_template: " + chat + "}");
                    LocalTask local = new LocalTask(task, rows, rows);
                    Evaluation.check(local, model.files(null));
                    Result result = Evaluation.run(
                            model, Collections.singletonMap("m", null), List.of(local), (share, words) -> {});
                    JsonNode of = expected.get((chat ? "chat, " : "plain, ") + shots);
                    assertThat(result.scores())
                            .extracting(Score::metric, Score::value)
                            .containsExactly(
                                    org.assertj.core.groups.Tuple.tuple(
                                            "acc", of.get("acc").asDouble()),
                                    org.assertj.core.groups.Tuple.tuple(
                                            "acc_norm", of.get("acc_norm").asDouble()));
                    for (Sample sample : result.samples()) {
                        JsonNode row = of.get("rows").get(sample.row());
                        assertThat(sample.values().get("acc"))
                                .isEqualTo(row.get("acc").asDouble(), Offset.offset(0.0));
                        assertThat(sample.values().get("acc_norm"))
                                .isEqualTo(row.get("acc_norm").asDouble(), Offset.offset(0.0));
                    }
                }
            }
        }
    }
}
