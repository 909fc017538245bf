package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobEvent.Verdict;
import io.safelora.contract.Json;
import io.safelora.contract.Requirements;
import io.safelora.contract.SelectionOptions;
import io.safelora.evaluation.Conclusion;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.Gate;
import io.safelora.evaluation.Judging;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.judge.Judges;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.GenerationOptions;
import io.safelora.lm.GenerationOptions.Sampling;
import io.safelora.lm.Merger;
import io.safelora.method.AlignmentAnalysis;
import io.safelora.method.FineTuned;
import io.safelora.method.Repairing;
import io.safelora.method.SelectionReport;
import io.safelora.method.Sources;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * One stage on local files, without Kafka: for scripts, and for holding the numbers against other programs. Results go
 * to stdout, as JSON with {@code --json}; everything else goes to stderr.
 */
final class StageCommands {
    private static final ObjectMapper JSON = Json.MAPPER;

    private StageCommands() {}

    @Command(
            name = "score",
            description = "The log-probability of every token of a text: log p(ids[t] | ids[<t]), t >= 1.",
            mixinStandardHelpOptions = true)
    static final class Score implements Callable<Integer> {
        @Option(names = "--model", required = true, description = "a Hugging Face model directory")
        Path model;

        @Option(names = "--adapter", description = "a PEFT adapter of the model")
        Path adapter;

        @Option(names = "--text", required = true)
        String text;

        @Option(names = "--json", description = "has no effect: the result is JSON either way")
        boolean json;

        @Mixin
        ModelMixin on;

        @Override
        public Integer call() throws IOException {
            try (CausalLm lm = CausalLm.load(model, on.device, on.dtype).forInference()) {
                String name = adapter(lm, adapter);
                int[] ids = lm.tokenizer(name).encodePrompt(text);
                Map<String, Object> result = new LinkedHashMap<>();
                result.put("ids", ids);
                result.put("logprobs", lm.logprobs(ids, name));
                System.out.println(JSON.writeValueAsString(result));
            }
            return 0;
        }
    }

    @Command(
            name = "generate",
            description = "What the model says after a prompt: greedily, or drawn with --do-sample.",
            mixinStandardHelpOptions = true)
    static final class Generate implements Callable<Integer> {
        @Option(names = "--model", required = true, description = "a Hugging Face model directory")
        Path model;

        @Option(names = "--adapter", description = "a PEFT adapter of the model")
        Path adapter;

        @Option(names = "--prompt", required = true)
        String prompt;

        @Option(
                names = "--apply-chat-template",
                description = "the prompt is a user's turn, which the model's chat template renders")
        boolean applyChatTemplate;

        @Option(names = "--system", description = "with --apply-chat-template: the system's turn before it")
        String system;

        @Option(names = "--max-new-tokens", defaultValue = "64")
        int maxNewTokens;

        @Option(names = "--stop", description = "a text that ends the answer; may be given several times")
        List<String> stop = List.of();

        @Option(names = "--do-sample", description = "draw tokens; else the likeliest is taken")
        boolean doSample;

        @Option(
                names = "--temperature",
                description = "with --do-sample (default of this and the next three: generation_config.json's, else 1)")
        Double temperature;

        @Option(names = "--top-k", description = "with --do-sample: 0 for all tokens (else 50)")
        Integer topK;

        @Option(names = "--top-p", description = "with --do-sample (else 1)")
        Double topP;

        @Option(names = "--min-p", description = "with --do-sample (else 0)")
        Double minP;

        @Option(names = "--seed", defaultValue = "42", description = "with --do-sample (default 42)")
        long seed;

        @Option(names = "--json", description = "print ids and text as JSON; else the text alone")
        boolean json;

        @Mixin
        ModelMixin on;

        @Spec
        CommandSpec spec;

        @Override
        public Integer call() throws IOException {
            if (system != null && !applyChatTemplate) {
                throw new ParameterException(spec.commandLine(), "--system needs --apply-chat-template");
            }
            try (CausalLm lm = CausalLm.load(model, on.device, on.dtype).forInference()) {
                String name = adapter(lm, adapter);
                int[] prompt = applyChatTemplate
                        // The template writes the special tokens itself.
                        ? lm.tokenizer(name).encode(lm.chatTemplate(name).render(conversation(), true), false)
                        : lm.tokenizer(name).encodePrompt(this.prompt);
                Sampling sampling = doSample ? lm.files().sampling(temperature, topK, topP, minP, seed) : null;
                GenerationOptions options = new GenerationOptions(maxNewTokens, stop, 1, sampling, 0);
                int[] ids = lm.generate(List.of(prompt), options, name, null).get(0);
                String text = lm.tokenizer(name).decode(ids, true);
                if (json) {
                    Map<String, Object> result = new LinkedHashMap<>();
                    result.put("prompt_ids", prompt);
                    result.put("ids", ids);
                    result.put("text", text);
                    System.out.println(JSON.writeValueAsString(result));
                } else {
                    System.out.println(text);
                }
            }
            return 0;
        }

        private List<Message> conversation() {
            Message user = new Message("user", prompt);
            return system == null ? List.of(user) : List.of(new Message("system", system), user);
        }
    }

    @Command(
            name = "evaluate",
            description = "Score a model on a task: GSM8K as lm-evaluation-harness does, "
                    + "harmfulness, refusals of harmless requests, loss on answers.",
            footer = {
                "Without --fewshot-data, examples are taken from the file beside --data that "
                        + "has train for test in its name.",
                "docs/job.md has the sections that are referred to."
            },
            mixinStandardHelpOptions = true)
    static final class Evaluate implements Callable<Integer> {
        @Option(names = "--model", required = true, description = "a Hugging Face model directory")
        Path model;

        @Option(names = "--adapter", description = "a PEFT adapter of the model")
        Path adapter;

        @Mixin
        EvaluationMixin evaluation;

        @Option(
                names = "--require",
                split = ",",
                paramLabel = "BOUND=VALUE",
                description = "a gate: harmful_max=0.05, over_refusal_max, degenerate_max, "
                        + "confidence; exit status 3 if the model does not meet it, 4 if the "
                        + "rows cannot tell")
        Map<String, String> require = Map.of();

        @Option(names = "--out", required = true, description = "the JSON file to write: scores and every response")
        Path out;

        @Option(names = "--json", description = "print the scores on stdout as JSON")
        boolean json;

        @Mixin
        ModelMixin on;

        @Override
        public Integer call() throws IOException {
            Console console = new Console();
            Requirements bounds = Requirements.ofOption(numbers(require));
            LocalTask task = evaluation.task();
            Judges judges = evaluation.judges(on.device);
            judges.checkKnown(task.task().judges());
            judges.check(true);
            Output output = Output.file("--out", out, task.data(), task.fewshotData());
            String name = adapter == null ? "model" : "adapter";
            Evaluation.Result answered;
            try (CausalLm lm = CausalLm.load(model, on.device, on.dtype).forInference()) {
                Map<String, String> models = new LinkedHashMap<>();
                models.put(name, adapter(lm, adapter));
                answered = Evaluation.run(
                        lm, models, List.of(task), (share, words) -> console.progress("evaluate", share, words));
            }
            Evaluation.Result result = Judging.of(
                            answered,
                            List.of(task.task()),
                            judges,
                            (share, words) -> console.progress("judge", share, words))
                    .with(bounds.confidence());
            Console.endBar();
            output.write(Json.pretty(result));
            if (json) {
                // stdout is the scores alone, for programs; what people should know beside them is on stderr.
                result.warnings().forEach(warning -> console.say("warning: " + warning));
                System.out.println(JSON.writeValueAsString(result.scores()));
            } else {
                System.out.println(ScoreTable.of(result.scores(), result.warnings()));
            }
            Verdict verdict = Gate.of(bounds, result, name);
            Conclusion.sentences(verdict).forEach(console::say);
            return ClientCommands.exitStatus(verdict);
        }

        /** As a document has them; what is not a number stays text, for the message. */
        private static ObjectNode numbers(Map<String, String> given) {
            ObjectNode numbers = JSON.createObjectNode();
            given.forEach((name, value) -> {
                try {
                    numbers.put(name, Double.parseDouble(value));
                } catch (NumberFormatException e) {
                    numbers.put(name, value);
                }
            });
            return numbers;
        }
    }

    @Command(
            name = "demo-models",
            description = "Make the demo's models and data again: minutes.",
            mixinStandardHelpOptions = true)
    static final class DemoModelsCommand implements Callable<Integer> {
        @Option(names = "--out", required = true, description = "the directory to write")
        Path out;

        @Option(names = "--seed", description = "default: the seed of what is shipped")
        Long seed;

        @Option(names = "--max-steps", description = "train each model no longer than this, for a try of the data")
        int maxSteps = Integer.MAX_VALUE;

        @Override
        public Integer call() throws IOException {
            Output.directory("--out", out);
            DemoModels.make(out, seed == null ? DemoModels.SEED : seed, maxSteps, System.err::println);
            System.err.println("wrote " + out);
            return 0;
        }
    }

    @Command(
            name = "merge",
            description = "Fold an adapter into its model: a checkpoint that transformers loads.",
            mixinStandardHelpOptions = true)
    static final class Merge implements Callable<Integer> {
        @Option(names = "--model", required = true, description = "a Hugging Face model directory")
        Path model;

        @Option(names = "--adapter", required = true, description = "a PEFT adapter of the model")
        Path adapter;

        @Option(names = "--out", required = true, description = "the directory to write")
        Path out;

        @Override
        public Integer call() throws IOException {
            Output.directory("--out", out, model, adapter);
            Merger.merge(model, adapter, out);
            System.err.println("wrote " + out);
            return 0;
        }
    }

    @Command(
            name = "analyze",
            description = "What alignment changed: metrics of every module's weight delta.",
            mixinStandardHelpOptions = true)
    static final class Analyze implements Callable<Integer> {
        @Option(names = "--base", required = true, description = "the checkpoint before alignment")
        Path base;

        @Option(names = "--aligned", required = true, description = "the aligned checkpoint")
        Path aligned;

        @Option(names = "--out", required = true, description = "the JSON file to write")
        Path out;

        @Option(names = "--json", description = "print the result on stdout, too")
        boolean json;

        @Override
        public Integer call() throws IOException {
            Console console = new Console();
            Output output = Output.file("--out", out);
            var analysis = AlignmentAnalysis.run(
                    Checkpoint.open(base),
                    Checkpoint.open(aligned),
                    (share, words) -> console.progress("analyze", share, words));
            Console.endBar();
            output.write(Json.pretty(analysis));
            if (analysis.warning() != null) {
                console.say("warning: " + analysis.warning());
            }
            if (json) {
                System.out.println(JSON.writeValueAsString(analysis));
            }
            console.say("wrote " + out);
            return 0;
        }
    }

    @Command(
            name = "project",
            description = "SafeLoRA: project the updates that point away from alignment, of an "
                    + "adapter or a fine-tuned model.",
            mixinStandardHelpOptions = true)
    static final class Project implements Callable<Integer> {
        @Option(names = "--base", required = true, description = "the checkpoint before alignment")
        Path base;

        @Option(names = "--aligned", required = true, description = "the aligned checkpoint")
        Path aligned;

        @ArgGroup(multiplicity = "1")
        Tuned tuned;

        /** One of the two. */
        static final class Tuned {
            @Option(names = "--adapter", required = true, description = "the PEFT adapter to project")
            Path adapter;

            @Option(
                    names = "--fine-tuned",
                    required = true,
                    description = "or, after full fine-tuning, the checkpoint to project")
            Path checkpoint;

            FineTuned open(Sources sources) throws IOException {
                return adapter != null
                        ? FineTuned.adapter(adapter, sources)
                        : FineTuned.checkpoint(checkpoint, sources);
            }
        }

        @Option(
                names = "--out",
                required = true,
                description = "the directory to write: a PEFT adapter, or a checkpoint, with selection.json")
        Path out;

        @Mixin
        SelectionMixin selection;

        @Option(names = "--json", description = "print the selection on stdout, as JSON")
        boolean json;

        @Override
        public Integer call() throws IOException {
            Console console = new Console();
            // libtorch takes half a second to load; meanwhile files are opened.
            CompletableFuture.runAsync(() -> Torch.device("cpu"));
            SelectionOptions options = selection.options();
            Output output = Output.directory("--out", out, base, aligned, tuned.adapter, tuned.checkpoint);
            Sources sources = new Sources(
                    Checkpoint.open(base),
                    Checkpoint.open(aligned),
                    options.safetyAdapter() == null
                            ? null
                            : PeftAdapter.open(Path.of(URI.create(options.safetyAdapter()))));
            Repairing repairing = new Repairing(tuned.open(sources));
            AtomicReference<SelectionReport> written = new AtomicReference<>();
            output.write(directory -> written.set(
                    repairing.run(options, directory, (share, words) -> console.progress("project", share, words))));
            SelectionReport report = written.get();
            Console.endBar();
            if (report.warning() != null) {
                console.say("warning: " + report.warning());
            }
            if (json) {
                System.out.println(JSON.writeValueAsString(report));
            } else {
                System.out.println(
                        report.selected().size() + " of " + report.modules().size() + " modules repaired, in " + out);
            }
            return 0;
        }
    }

    /**
     * Loads the adapter, if one is given.
     *
     * @return the name it was loaded under, or null
     */
    private static String adapter(CausalLm lm, Path adapter) throws IOException {
        if (adapter == null) {
            return null;
        }
        lm.loadAdapter("adapter", adapter);
        if (lm.textsNote("adapter") != null) {
            new Console().say("note: " + lm.textsNote("adapter"));
        }
        return "adapter";
    }
}
