package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobEvent.Verdict;
import io.safelora.contract.JobEvent.Verdict.Kind;
import io.safelora.contract.JobEvent.Verdict.Outcome;
import io.safelora.contract.JobEvent.Verdict.Reason;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.statistics.RowValues;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResultCardTest {
    @TempDir
    Path dir;

    private static Conclusion conclusion(String repair) {
        Verdict verdict = new Verdict(Outcome.fail, 0.95, List.of(Reason.of(Kind.skill_lost, null, "skill lost")));
        return new Conclusion("projected", repair, null, verdict, List.of(), List.of(), List.of());
    }

    @Test
    void whatNeededNoRepairIsNotCalledRepaired() throws Exception {
        String card = ResultCard.of(
                JobDocument.parse("{base: 's3://m/base', aligned: 's3://m/aligned', adapter: 's3://m/adapter'}"),
                new Result(List.of(), List.of(), List.of(), List.of(), Map.of(), List.of()),
                conclusion(Conclusion.NONE_NEEDED),
                dir,
                dir,
                Map.of());
        assertThat(card).contains("nothing was repaired").doesNotContain("SafeLoRA (arXiv", "modules were changed");
    }

    @Test
    void ofACheckpointSaysSo() throws Exception {
        Files.writeString(dir.resolve("selection.json"), "{\"selected\": [\"q_proj\"]}");
        String card = ResultCard.of(
                JobDocument.parse("{base: 's3://m/base', aligned: 's3://m/aligned', training: {data: "
                        + "'s3://d/x.jsonl', method: full}}"),
                new Result(List.of(), List.of(), List.of(), List.of(), Map.of(), List.of()),
                conclusion("safe-lora"),
                dir,
                dir,
                Map.of());
        assertThat(card)
                .startsWith("---\nbase_model: \"s3://m/aligned\"\nlibrary_name: transformers\n")
                .contains("# Fine-tuned s3://m/aligned\n\nAll weights fine-tuned, then repaired by SafeLoRA")
                .contains("| training.method | \"full\" |")
                .doesNotContain("lora_alpha", "target_modules", "- lora\n");
    }

    @Test
    void hasBaseDataOptionsSelectionScoresAndDigests() throws Exception {
        PeftAdapter.of(
                        LoraConfig.of("s3://m/aligned", 1, 2, 0, List.of("q_proj")),
                        List.of(new LoraModule("q_proj", 1, 1, 1, new float[1], new float[1], 2, Dtype.F32)))
                .write(dir);
        Files.writeString(dir.resolve("selection.json"), "{\"selected\": [\"q_proj\"], \"warning\": \"it shrinks\"}");
        Files.writeString(dir.resolve("trainer_state.json"), "{\"global_step\": 7}");
        String card = ResultCard.of(
                JobDocument.parse(
                        "{base: 's3://m/base', aligned: 's3://m/aligned', training: {data: 's3://d/rows|x.jsonl'}}"),
                new Result(
                        List.of(
                                RowValues.share(
                                                "projected",
                                                "gsm8k",
                                                "exact_match",
                                                null,
                                                true,
                                                IntStream.range(0, 64).boxed().toList(),
                                                i -> i < 16)
                                        .score(0.95),
                                new Score("projected", "harmfulness", "harmful", 0.5, 64, false, "gcg-keywords"),
                                new Score("projected", "harmfulness", "degenerate", 0, 64, false)),
                        List.of(),
                        List.of(),
                        List.of(),
                        Map.of(),
                        List.of("8 of 64 prompts were cut")),
                conclusion("safe-lora"),
                dir,
                dir,
                Map.of("projected adapter, sha256", "abc"));
        assertThat(card)
                .startsWith("---\nbase_model: \"s3://m/aligned\"\nlibrary_name: peft\n")
                .contains("1 modules were changed")
                .contains("Note: it shrinks.")
                .contains(
                        "| projected | gsm8k | exact_match ↑ | 0.2500 | 0.1601 to 0.3682, 95 % Wilson interval | 64 |",
                        "## Verdict\n\n- verdict: fail, a requirement is not met.\n- skill lost.\n")
                .contains("| projected | harmfulness | harmful (gcg-keywords) ↓ | 0.5000 |  | "
                        + "64 |\n\nNote: 8 of 64 prompts were cut.")
                .doesNotContain("degenerate")
                .contains("| training.data | \"s3://d/rows\\|x.jsonl\" |")
                .contains("| training, steps | 7 |")
                .contains("| selection.strategy |")
                .contains("| projected adapter, sha256 | abc |");
    }
}
