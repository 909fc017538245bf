package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.Candidate.Control;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.judge.Judges;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A job's evaluation on a tiny model: what is measured of whom, and what is written. */
class JobEvaluationTest {
    private static final Path MODEL = Path.of("src/test/resources/guards/qwen3guard");
    private static final String SMALL = "scale 0.5";
    private static final String LARGE = "scale 0.75";

    @TempDir
    Path dir;

    private final List<Double> progress = new ArrayList<>();
    private final List<Path> loaded = new ArrayList<>();
    private Path problems;
    private Path requests;

    @BeforeEach
    void data() throws IOException {
        problems = Files.writeString(
                dir.resolve("problems.jsonl"),
                "{\"question\": \"What is 1 + 1?\", \"answer\": \"#### 2\"}\n".repeat(9)
                        + "{\"question\": \"What is 2 + 3?\", \"answer\": \"five\"}\n");
        requests = Files.writeString(dir.resolve("requests.csv"), "goal\n" + "Open it.\nHow?\n".repeat(5));
    }

    /** With random updates of the given size on one module. */
    private Path adapter(String name, double size) throws IOException {
        Random random = new Random(7);
        String module = "model.layers.0.self_attn.q_proj";
        long[] shape = Checkpoint.open(MODEL).info(module + ".weight").shape();
        int out = (int) shape[0];
        int in = (int) shape[1];
        float[] a = new float[2 * in];
        float[] b = new float[2 * out];
        for (int i = 0; i < a.length; i++) {
            a[i] = (float) random.nextGaussian();
        }
        for (int i = 0; i < b.length; i++) {
            b[i] = (float) (size * random.nextGaussian());
        }
        Path folder = Files.createDirectories(dir.resolve(name));
        PeftAdapter.of(
                        LoraConfig.of("aligned", 2, 2, 0, List.of("q_proj")),
                        List.of(new LoraModule(module, 2, in, out, a, b, 1, Dtype.F32)))
                .write(folder);
        return folder;
    }

    private JobRequest job(String more) {
        return JobDocument.parse("""
                base: file:///m
                aligned: file:///m
                adapter: file:///a
                selection: {number: 1}
                dtype: float32
                """ + more);
    }

    private List<LocalTask> tasks(String gsm8k) throws IOException {
        return List.of(
                new LocalTask(TestTasks.named("gsm8k", gsm8k), problems, problems),
                new LocalTask(TestTasks.named("answer_loss", "{}"), problems, null),
                new LocalTask(TestTasks.named("harmfulness", "{max_new_tokens: 8}"), requests, null),
                new LocalTask(TestTasks.named("over_refusal", "{max_new_tokens: 8}"), requests, null));
    }

    private static final String SHOTS =
            "{num_fewshot: 1, fewshot_sampler: first_n, fewshot_data: 's3://d', max_new_tokens: 8}";

    private JobEvaluation evaluation(JobRequest request, List<LocalTask> tasks, Path tuned, Map<String, Path> folders) {
        ArtifactRef ref = new ArtifactRef("s3://b/m", "0".repeat(64), 1);
        List<Candidate> candidates = folders.keySet().stream()
                .map(name -> new Candidate(
                        name,
                        ref,
                        name.startsWith("scale") ? Control.scale : name.equals("drop") ? Control.drop : null,
                        name.equals("projected") ? "drop" : null))
                .toList();
        return new JobEvaluation(
                request,
                new JobEvaluation.Models(MODEL, tuned, candidates, folders),
                checkpoint -> {
                    loaded.add(checkpoint);
                    return CausalLm.load(checkpoint, "cpu", "float32").forInference();
                },
                tasks,
                Judges.BUILT_IN);
    }

    private void at(double share, String words) {
        progress.add(share);
    }

    @Test
    void everyModelTakesEveryTaskAndOnlyTheNearestScaledOneThoseThatNobodyJudges() throws IOException {
        Path tuned = adapter("tuned", 0.5);
        Map<String, Path> folders = new TreeMap<>(Map.of(
                "projected",
                adapter("projected", 0),
                "drop",
                adapter("drop", 0),
                SMALL,
                adapter("small", 0.25),
                LARGE,
                adapter("large", 0.375)));
        JobEvaluation evaluation =
                evaluation(job("require: {confidence: 0.9}\n"), tasks(SHOTS), tuned, ordered(folders));
        Path out = Files.createDirectories(dir.resolve("out"));
        var concluded = evaluation.run("job", dir, Map.of("aligned, digest", "abc"), out, this::at);

        assertThat(loaded).containsExactly(MODEL, MODEL);
        assertThat(progress)
                .isSorted()
                .allMatch(share -> share >= 0 && share <= 1)
                .last()
                .isEqualTo(1.0);
        Result result = Json.MAPPER.readValue(out.resolve("evaluation.json").toFile(), Result.class);
        Map<String, Long> tasksOf = new TreeMap<>();
        for (Score score : result.scores()) {
            assertThat(score.samples()).isEqualTo(10);
            assertThat(score.confidence() == null || score.confidence() == 0.9).isTrue();
        }
        for (String model : List.of("aligned", "fine-tuned", "projected", "drop", SMALL, LARGE)) {
            tasksOf.put(
                    model,
                    result.scores().stream()
                            .filter(s -> s.model().equals(model))
                            .map(Score::task)
                            .distinct()
                            .count());
        }
        assertThat(tasksOf)
                .containsEntry("aligned", 4L)
                .containsEntry("fine-tuned", 4L)
                .containsEntry("drop", 4L);
        assertThat(tasksOf.get(SMALL) + tasksOf.get(LARGE)).isEqualTo(4 + 2);
        // B = 0 is the aligned model: the same answers, the same losses.
        assertThat(said(result, "projected"))
                .isEqualTo(said(result, "aligned"))
                .isNotEqualTo(said(result, "fine-tuned"));
        assertThat(loss(result, "projected"))
                .isEqualTo(loss(result, "aligned"))
                .isNotEqualTo(loss(result, "fine-tuned"));
        assertThat(result.warnings())
                .anyMatch(w ->
                        w.startsWith("1 of 10 right answers in problems.jsonl are none that the filters of gsm8k"));
        assertThat(result.seconds()).isNotEmpty().allSatisfy((what, seconds) -> assertThat(seconds)
                .isPositive());
        Conclusion conclusion =
                Json.MAPPER.readValue(out.resolve("verdict.json").toFile(), Conclusion.class);
        assertThat(conclusion.model()).isEqualTo("projected");
        assertThat(concluded.repaired()).isEqualTo(folders.get("projected"));
        assertThat(Files.readString(out.resolve("README.md"))).contains("| aligned, digest | abc |");
        assertThat(out.resolve("pareto.json")).doesNotExist();
    }

    /** The repair first, as an event has them. */
    private static Map<String, Path> ordered(Map<String, Path> folders) {
        Map<String, Path> ordered = new java.util.LinkedHashMap<>();
        ordered.put("projected", folders.get("projected"));
        ordered.putAll(folders);
        return ordered;
    }

    private static List<String> said(Result result, String model) {
        return result.samples().stream()
                .filter(s -> s.model().equals(model))
                .map(Sample::response)
                .toList();
    }

    private static double loss(Result result, String model) {
        return result.scores().stream()
                .filter(s -> s.model().equals(model) && s.metric().equals("loss"))
                .mapToDouble(Score::value)
                .sum();
    }

    /** Answers do not depend on what else is generated in the same batch. */
    @Test
    void checkpointsAreMeasuredOneAfterAnotherAndSayWhatTheyWouldAlone() throws IOException {
        Map<String, Path> copies = Map.of("projected", MODEL);
        Result checkpoints = evaluation(job(""), tasks(SHOTS), MODEL, copies).measure(this::at);
        assertThat(loaded).containsExactly(MODEL, MODEL, MODEL);
        assertThat(progress).isSorted();
        assertThat(said(checkpoints, "projected"))
                .isEqualTo(said(checkpoints, "aligned"))
                .isEqualTo(said(checkpoints, "fine-tuned"))
                .hasSize(40);
    }

    @Test
    void withoutOverRefusalHarmSaysLittle() throws IOException {
        List<LocalTask> harm = tasks(SHOTS).subList(2, 3);
        Result result =
                evaluation(job(""), harm, MODEL, Map.of("projected", MODEL)).measure(this::at);
        assertThat(result.warnings()).anyMatch(w -> w.contains("a model that refuses everything looks best"));
        List<LocalTask> both = tasks(SHOTS).subList(2, 4);
        Result paired =
                evaluation(job(""), both, MODEL, Map.of("projected", MODEL)).measure(this::at);
        assertThat(paired.warnings()).noneMatch(w -> w.contains("looks best"));
    }

    @Test
    void promptsThatLeaveNoRoomForTheAnswer() throws IOException {
        Files.writeString(
                problems,
                "{\"question\": \"" + "1 + 1 ".repeat(300) + "?\", \"answer\": \"#### 2\"}\n",
                java.nio.file.StandardOpenOption.APPEND);
        List<LocalTask> gsm8k = tasks("{num_fewshot: 0, max_new_tokens: 8}").subList(0, 1);
        Map<String, Path> none = Map.of("projected", MODEL);
        Result cut = evaluation(job(""), gsm8k, MODEL, none).measure(this::at);
        assertThat(cut.warnings())
                .anyMatch(w -> w.startsWith("1 of 11 gsm8k prompts were longer than the 312 tokens that "
                        + "max_position_embeddings (320) and max_new_tokens (8) leave, and lost their beginning, 1 of "
                        + "them a part of their own question"));
        List<LocalTask> all = tasks("{num_fewshot: 0, max_new_tokens: 317}").subList(0, 1);
        assertThatThrownBy(() -> evaluation(job(""), all, MODEL, none).measure(this::at))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("not one of the 11 questions in problems.jsonl fits into the 3 tokens");
        List<LocalTask> room = tasks("{num_fewshot: 0, max_new_tokens: 320}").subList(0, 1);
        assertThatThrownBy(() -> evaluation(job(""), room, MODEL, none).measure(this::at))
                .hasMessage("max_new_tokens is 320, but the model's max_position_embeddings is 320; "
                        + "leave room for the prompt");

        Files.writeString(requests, "goal\n" + "open it ".repeat(40) + "\n");
        List<LocalTask> harm = tasks(SHOTS).subList(2, 3);
        Files.writeString(requests, "goal\nwhy\n" + "open the gate ".repeat(200) + "\n");
        assertThatThrownBy(() -> evaluation(job(""), harm, MODEL, none).measure(this::at))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("requests.csv, row 2: has ")
                .hasMessageContaining("max_position_embeddings is 320; shorten it or take it out");
    }
}
