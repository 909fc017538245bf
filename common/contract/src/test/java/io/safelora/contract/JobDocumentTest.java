package io.safelora.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JobDocumentTest {
    private static final String MINIMAL = """
            base: s3://models/base
            aligned: s3://models/aligned
            training: {data: s3://data/train.jsonl}
            """;

    @Test
    void theSmallestJobHasTheDocumentedDefaults() {
        JobRequest job = JobDocument.parse(MINIMAL);
        assertThat(job.base()).isEqualTo("s3://models/base");
        assertThat(job.training().targetModules().names()).isEqualTo(TrainingOptions.LINEAR_MODULES);
        assertThat(job.training().r()).isEqualTo(16);
        assertThat(job.selection().strategy()).isEqualTo(SelectionOptions.Strategy.number);
        assertThat(job.evaluation()).isEmpty();
    }

    @Test
    void fullFineTuningHasNothingOfLora() {
        JobRequest job = JobDocument.parse(MINIMAL.replace("}", ", method: full}"));
        TrainingOptions full = job.training();
        assertThat(full.method()).isEqualTo(TrainingOptions.Method.full);
        assertThat(full.r()).isNull();
        assertThat(full.targetModules()).isNull();
        assertThat(full.learningRate()).isEqualTo(2e-4);
        // As events carry it from stage to stage.
        assertThat(JobDocument.parse(new String(Json.canonical(job), StandardCharsets.UTF_8)))
                .isEqualTo(job);
        assertThat(JobDocument.parse(MINIMAL).training().method()).isEqualTo(TrainingOptions.Method.lora);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "method: full, r: 16                                       | "
                        + "training.method: full trains every weight, and r is of LoRA alone",
                "method: full, use_rslora: false, target_modules: [q_proj] | use_rslora, "
                        + "target_modules are of LoRA alone",
                "method: full, layers_to_transform: [0]                    | layers_to_transform is of LoRA alone",
                "method: half                                              | training.method",
            })
    void optionsOfLoraAreRefusedWithFullFineTuning(String training, String message) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL.replace("}", ", " + training + "}")))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "dtype: bfloat16 | dtype: bfloat16 is too coarse for training.method full",
                "selection: {when: every-step, strategy: all, projector: subspace} | "
                        + "selection.when: every-step is for adapters",
            })
    void whatFullFineTuningCannotDoIsRefused(String more, String message) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL.replace("}", ", method: full}") + more))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining(message);
        JobDocument.parse(MINIMAL + more);
    }

    @Test
    void variablesOfTheChatTemplateAreAnything() {
        String options = MINIMAL.replace(
                "}",
                ", apply_chat_template: true, chat_template_kwargs: {enable_thinking: false, deep: {list: [1, x]}}}");
        assertThat(JobDocument.parse(options).training().chatTemplateKwargs())
                .isEqualTo(Map.of("enable_thinking", false, "deep", Map.of("list", List.of(1, "x"))));
        for (String option : List.of("chat_template_kwargs: {}", "assistant_only_loss: true")) {
            assertThatThrownBy(() -> JobDocument.parse(MINIMAL.replace("}", ", " + option + "}")))
                    .isInstanceOf(InvalidJobException.class)
                    .hasMessageContaining(
                            "training." + option.substring(0, option.indexOf(':')) + ": needs apply_chat_template");
        }
    }

    @Test
    void yamlAndJsonOfTheSameJobAreEqual() {
        JobRequest yaml = JobDocument.parse("""
                name: 2024-01-31     # a string: YAML 1.2 has no dates
                base: file:/models/base
                aligned: s3://models/aligned
                training:
                  data: s3://data/train.jsonl
                  learning_rate: 2e-4
                  num_train_epochs: 3
                  lora_alpha: .5
                  seed: 123456789012
                  target_modules: [q_proj, "no"]
                  shuffle: false
                selection: {strategy: threshold, threshold: -0.25}
                evaluation:
                  - {task: gsm8k, data: s3://d/test.jsonl, fewshot_data: s3://d/train.jsonl, limit: 8}
                  - {task: harmfulness, data: s3://d/harm.csv}
                """);
        String json = """
                {\t"name": "2024-01-31", "base": "file:/models/base", "aligned": "s3://models/aligned",
                \t"training": {"data": "s3://data/train.jsonl", "learning_rate": 2e-4, "num_train_epochs": 3,
                  "lora_alpha": 0.5, "seed": 123456789012, "target_modules": ["q_proj", "no"], "shuffle": false},
                 "selection": {"strategy": "threshold", "threshold": -0.25},
                 "evaluation": [
                   {"task": "gsm8k", "data": "s3://d/test.jsonl", "fewshot_data": "s3://d/train.jsonl", "limit": 8},
                   {"task": "harmfulness", "data": "s3://d/harm.csv"}]}
                """;
        assertThat(yaml).isEqualTo(JobDocument.parse(json));
        assertThat(yaml.training().learningRate()).isEqualTo(2e-4);
        // What a job leaves open is the task's own.
        assertThat(yaml.evaluation().get(0).numFewshot()).isNull();
    }

    @Test
    void aJobWrittenByThisSystemReadsBackAsItself() throws Exception {
        JobRequest job = JobDocument.parse(MINIMAL);
        assertThat(JobDocument.parse(Json.MAPPER.writeValueAsString(job))).isEqualTo(job);
        assertThat(JobDocument.parse("﻿" + MINIMAL))
                .as("with a byte order mark")
                .isEqualTo(job);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "training: {data: s3://d, rank: 8}         | training.rank: is not a field of a job request",
                "training: {data: s3://d, r: eight}        | training.r: string found, integer expected",
                "training: {data: s3://d, r: '8'}          | training.r: string found, integer expected",
                "training: {data: s3://d, r: 0}            | training.r: must be at least 1, not 0",
                "training: {data: s3://d, r: 1.5}          | training.r: number found, integer expected",
                "training: {data: s3://d, shuffle: yes}    | training.shuffle: string found, boolean expected",
                "training: {data: s3://d, max_steps: 3000000000} | training.max_steps: must "
                        + "be at most 2147483647, not 3000000000",
                "training: {data: s3://d, seed: 99999999999999999999} | training.seed: ",
                "training: {data: s3://d, learning_rate: 0}     | training.learning_rate: must be above 0, not 0",
                "training: {data: s3://d, learning_rate: 1e999} | training.learning_rate: is too large",
                "training: {data: s3://d, learning_rate: .nan} | training.learning_rate: string found, number expected",
                "training: {data: s3://d, learning_rate: -.inf} | training.learning_rate: string found",
                "training: {data: s3://d, target_modules: []}   | training.target_modules: "
                        + "must have at least 1 items but found 0",
                "training: {data: s3://d, target_modules: [1]}  | "
                        + "training.target_modules[0]: integer found, string expected",
                "training: {data: s3://d, lr_scheduler_type: step} | "
                        + "training.lr_scheduler_type: must be one of linear, cosine, constant, "
                        + "constant_with_warmup, not \"step\"",
                "training: {data: /data/train.jsonl}       | training.data: must be an s3:// or file: URI",
                "training: {r: 8}                          | training.data: is required",
                "training: s3://d                          | training: string found, object expected",
                "training:                                 | training: null found, object expected",
                "device: cpu                               | training: is missing; give training options, or adapter",
                "adapter: models/adapter                   | adapter: must be an s3:// or file: URI",
                "selection: {threshold: 2}                 | selection.threshold: must be at most 1, not 2",
                "evaluation: [{task: gsm8k}]               | evaluation[0].data: is required",
                "evaluation: {task: gsm8k}                 | evaluation: object found, array expected",
                "name: [a]                                 | name: array found, string expected",
            })
    void saysWhichFieldIsWrong(String line, String message) {
        assertThatThrownBy(() -> JobDocument.parse("base: s3://m/b\naligned: s3://m/a\n" + line))
                .isInstanceOf(InvalidJobException.class)
                .message()
                .startsWith(message)
                .doesNotContain("\n");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "trainng: {data: s3://d}                | trainng: is not a field of a job "
                        + "request; did you mean training?",
                "training: {data: s3://d, learnin_rate: 1} | training.learnin_rate: is not a "
                        + "field of a job request; did you mean learning_rate?",
                "training: {data: s3://d, lora-alpha: 1}   | training.lora-alpha: is not a "
                        + "field of a job request; did you mean lora_alpha?",
                "evaluation: [{task: gsm8, data: s3://d, num_fewshots: 0}] | "
                        + "evaluation[0].num_fewshots: is not a field of a job request; did you mean "
                        + "num_fewshot?",
                "selection: {strategy: treshold}        | selection.strategy: must be one of "
                        + "number, threshold, auto, energy, random, all, not \"treshold\"; did you "
                        + "mean threshold?",
                "dtype: flaot32                         | dtype: must be one of auto, "
                        + "float32, bfloat16, not \"flaot32\"; did you mean float32?",
            })
    void aTypoIsAnsweredWithTheNearestName(String line, String message) {
        assertThatThrownBy(() -> JobDocument.parse("base: s3://m/b\naligned: s3://m/a\n" + line))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining(message);
    }

    @Test
    void whatIsNearNothingGetsNoSuggestion() {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "zebra: 1"))
                .hasMessage("zebra: is not a field of a job request");
        assertThat(Nearest.of("x".repeat(10_000), Set.of("xx"))).isEmpty();
        assertThat(Nearest.of("submti", Set.of("submit", "serve"))).contains("submit");
    }

    @ParameterizedTest
    @ValueSource(strings = {"file:models/base", "file://host/models", "'file:///with blank'", "file:///a?b"})
    void aFileIsNamedByAnAbsoluteUri(String uri) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL.replace("s3://models/base", uri)))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith(
                        "base: \"" + uri.replace("'", "") + "\" is not the URI of a file; write file:///");
    }

    @Test
    void optionsOfACommandAreNamedAsTheyAreTyped() {
        assertThatThrownBy(() -> Options.read(
                        Map.of("task", "gsm8k", "data", "file:///d", "limit", 0, "num_fewshot", -1),
                        EvaluationTask.class))
                .isInstanceOf(InvalidJobException.class)
                .hasMessage("--limit: must be above 0, not 0; --num-fewshot: must be at least 0, not -1");
        assertThatThrownBy(() -> Options.read(Map.of("threshold", Double.POSITIVE_INFINITY), SelectionOptions.class))
                .hasMessageContaining("--threshold: is too large");
        // The same ranges, and the same words, in a document.
        assertThatThrownBy(() -> JobDocument.parse(
                        MINIMAL + "evaluation: [{task: gsm8k, data: 's3://d', limit: 0, num_fewshot: -1}]"))
                .hasMessage("evaluation[0].limit: must be above 0, not 0;"
                        + " evaluation[0].num_fewshot: must be at least 0, not -1");
    }

    @Test
    void namesEveryWrongFieldAtOnce() {
        assertThatThrownBy(() -> JobDocument.parse("{base: 1, training: {data: s3://d, r: 0}}"))
                .hasMessage("aligned: is required; base: integer found, string expected;"
                        + " training.r: must be at least 1, not 0");
        var many = new StringBuilder(MINIMAL);
        for (int i = 0; i < 1000; i++) {
            many.append("field").append(i).append(": 1\n");
        }
        assertThatThrownBy(() -> JobDocument.parse(many.toString())).hasMessageEndingWith("; and 990 more");
    }

    @Test
    void aJobTrainsOrBringsItsAdapter() {
        assertThat(JobDocument.parse("{base: 's3://b', aligned: 's3://a', adapter: 's3://p'}")
                        .training())
                .isNull();
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "adapter: s3://p"))
                .hasMessage("adapter: is given together with training; give only one of them");
    }

    @Test
    void fewShotExamplesNeedRows() {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "evaluation: [{task: gsm8k, data: 's3://d'}]"))
                .hasMessageStartingWith("evaluation[0].fewshot_data: is missing, but num_fewshot is 5");
        JobDocument.parse(MINIMAL + "evaluation: [{task: gsm8k, data: 's3://d', num_fewshot: 0}]");
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL
                        + "evaluation: [{task: harmfulness, data: 's3://d', num_fewshot: 2, fewshot_data: 's3://e'}]"))
                .hasMessageStartingWith("evaluation[0].num_fewshot: task harmfulness has no solved examples");
        // A task file may bring its examples; whether it does is seen once it is read.
        JobDocument.parse(MINIMAL + "evaluation: [{task: 's3://d/own.yaml', data: 's3://d'}]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "limit: 0 | limit: must be above 0",
                "limit: -1 | limit: must be above 0",
                "limit: 1.5 | limit: is 1.5; give a whole number of rows",
                "limit: 1e999 | limit: is too large",
                "limit: '8' | limit: string found, number expected",
                "num_fewshot: -1 | num_fewshot: must be at least 0",
                "batch_size: 0 | batch_size: must be at least 1",
                "max_new_tokens: 0 | max_new_tokens: must be at least 1",
                "fewshot_as_multiturn: true | fewshot_as_multiturn: is only for prompts by a chat template",
                "judge: [gcg-keywords] | judge: nobody judges task gsm8k",
                "judge: [] | judge: must have at least 1 items",
                "judge: [''] | judge[0]: must be at least 1 characters",
                "system_instruction: '' | system_instruction: must be at least 1 characters",
            })
    void evaluationOptionsOutOfRangeAreNamed(String option, String message) {
        String task = "{task: gsm8k, data: 's3://d', fewshot_data: 's3://e', " + option + "}";
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "evaluation: [" + task + "]"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith("evaluation[0]." + message);
        // The command line reads the same options without a job around them.
        assertThatThrownBy(() -> EvaluationTask.ofOptions(JobDocument.tree(task)))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith("--"
                        + message.replaceFirst("^\\w+", "%s")
                                .formatted(message.replaceAll("\\W.*", "").replace('_', '-')));
    }

    /** lm_eval 0.4.13, get_sample_size: ceil(len * limit) below 1, else int(limit). */
    @ParameterizedTest
    @CsvSource({"1, 10, 1", "8, 10, 8", "11, 10, 10", "0.5, 9, 5", "0.001, 10, 1", "0.3, 10, 3", "1e12, 10, 10"})
    void aLimitIsANumberOrAShareOfTheRows(String limit, int rows, int measured) {
        EvaluationTask task =
                EvaluationTask.ofOptions(JobDocument.tree("{task: answer_loss, data: 's3://d', limit: " + limit + "}"));
        assertThat(task.rows(rows)).isEqualTo(measured);
    }

    private static final String JUDGES = """
            judges:
              - {id: guard, type: qwen3guard, model: 's3://m/guard'}
              - {id: llama, type: llama-guard-3, model: 's3://m/llama', dtype: bfloat16}
              - {id: rubric, type: endpoint, url: 'https://api.example.com/v1', model_name: big, api_key_env: X_API_KEY}
            """;

    @Test
    void judgesAreDeclaredOnceAndNamedByTasks() {
        JobRequest job = JobDocument.parse(MINIMAL + JUDGES + """
                evaluation:
                  - {task: harmfulness, data: 's3://d', judge: [guard, llama, rubric, gcg-keywords]}
                  - {task: over_refusal, data: 's3://d', judge: [gcg-keywords, guard]}
                """);
        assertThat(job.judges())
                .extracting(JudgeOptions::id, JudgeOptions::batchSize, JudgeOptions::maxRequests)
                .containsExactly(tuple("guard", 16, null), tuple("llama", 16, null), tuple("rubric", null, 10_000));
        assertThat(job.evaluation().get(0).judge()).containsExactly("guard", "llama", "rubric", "gcg-keywords");
        assertThat(JobDocument.parse(new String(Json.canonical(job)))).isEqualTo(job);
        assertThat(JobUris.of(Json.MAPPER.valueToTree(job)))
                .extracting(JobUris.Field::path)
                .contains("judges[0].model", "judges[1].model");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{task: harmfulness, data: 's3://d', judge: [gurad]} | must be one of "
                        + "refusal-phrases, gcg-keywords, guard, llama, rubric, or the id of a judge "
                        + "that is declared under judges, not \"gurad\"; did you mean guard?",
                "{task: over_refusal, data: 's3://d', judge: [llama]} | llama is of type "
                        + "llama-guard-3, which does not say whether an answer refuses; use it for "
                        + "harmfulness",
            })
    void aTasksJudgeMustBeThereAndSayWhatIsCounted(String task, String message) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + JUDGES + "evaluation: [" + task + "]"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessage("evaluation[0].judge[0]: " + message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{id: a, type: qwen3guard} | judges[0].model: is missing, and a judge of type qwen3guard needs it",
                "{id: a, type: qwen3guard, model: here} | judges[0].model: must be an s3:// or file: URI",
                "{id: a, type: qwenguard, model: 's3://m'} | judges[0].type: must be one of "
                        + "qwen3guard, llama-guard-3, harmbench-classifier, endpoint",
                "{id: a, type: harmbench-classifier, model: 's3://m'} | judges[0].template: is missing",
                "{id: a, type: qwen3guard, model: 's3://m', url: 'https://x/v1'} | "
                        + "judges[0].url: is not for a judge of type qwen3guard",
                "{id: a, type: endpoint, url: 'https://x/v1'} | judges[0].model_name: is missing",
                "{id: a, type: endpoint, model_name: m, url: 'ftp://x'} | judges[0].url: must match",
                "{id: a, type: endpoint, model_name: m, url: 'https://key@x/v1'} | judges[0].url: must match",
                "{id: a, type: endpoint, model_name: m, url: 'https://x/v1', api_key_env: "
                        + "AWS_SECRET_ACCESS_KEY} | judges[0].api_key_env: must match",
                "{id: gcg-keywords, type: qwen3guard, model: 's3://m'} | judges[0].id: gcg-keywords is a judge already",
                "{id: A b, type: qwen3guard, model: 's3://m'} | judges[0].id: must match",
            })
    void aDeclarationThatIsNotWholeIsNamed(String judge, String message) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "judges: [" + judge + "]"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void twoJudgesOfOneIdAreRefused() {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL
                        + "judges: [{id: a, type: qwen3guard, model: "
                        + "'s3://m'}, {id: a, type: qwen3guard, model: "
                        + "'s3://n'}]"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith("judges[1].id: a is declared twice");
    }

    @Test
    void aTaskIsANameOrAFile() {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "evaluation: [{task: gsm9k, data: 's3://d'}]"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith(
                        "evaluation[0].task: no task is called gsm9k; did you mean gsm8k?; there are gsm8k, ");
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "evaluation: [{task: own.yaml, data: 's3://d'}]"))
                .hasMessage("evaluation[0].task: must be a task's name, or the s3:// or file: URI of a task file");
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "evaluation: [{task: 'file:own.yaml', data: 's3://d'}]"))
                .hasMessageContaining("is not the URI of a file");
    }

    @Test
    void judgesAreNamedOnce() {
        JobRequest job = JobDocument.parse(MINIMAL + """
                evaluation:
                  - {task: harmfulness, data: 's3://d'}
                  - {task: over_refusal, data: 's3://d', judge: [gcg-keywords, refusal-phrases, gcg-keywords]}
                """);
        assertThat(job.evaluation())
                .extracting(EvaluationTask::judge)
                .containsExactly(null, List.of("gcg-keywords", "refusal-phrases"));
        assertThat(JobDocument.parse(new String(Json.canonical(job)))).isEqualTo(job);
    }

    @Test
    void notANumberIsNotAScore() {
        assertThatThrownBy(() -> new JobEvent.Score("projected", "answer_loss", "loss", Double.NaN, 4, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("answer_loss loss of projected is NaN");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "   ",
                "# nothing",
                "null",
                "[]",
                "[[]]",
                "42",
                "text",
                "{",
                "}",
                "a: b: c",
                "\t",
                "base: &a [*a]",
                "*unknown",
                "%YAML 9.9\n---\n{}",
                "--- {}\n--- {}",
                "base: !!java.net.URL [x]",
                "? [a]\n: b",
                "base: !!int x",
                "base: !!binary AAAA",
                "base: \u0000",
                "{\"base\": \"a\", \"base\": \"b\"}",
                "base: a\nbase: b",
                "{} {}",
                "base: !!float 1e",
                "<<: {base: s3://b}",
                "base: \ud800"
            })
    void whatIsNoJobIsRefusedInOneLine(String text) {
        assertThatThrownBy(() -> JobDocument.parse(text))
                .isInstanceOf(InvalidJobException.class)
                .message()
                .isNotBlank()
                .doesNotContain("\n");
    }

    @Test
    void hostileDocumentsAreRefusedAtOnce() {
        var bomb = new StringBuilder("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for (int i = 1; i < 12; i++) {
            bomb.append("a%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n".formatted(i, i, i - 1, i - 1, i - 1, i - 1));
        }
        assertThatThrownBy(() -> JobDocument.parse(bomb.toString()))
                .hasMessageContaining("refers to a mapping or a list by an alias");
        for (String open : Set.of("[", "{a: ", "{\"a\":", "- ")) {
            assertThatThrownBy(() -> JobDocument.parse(open.repeat(100_000)))
                    .isInstanceOf(InvalidJobException.class)
                    .message()
                    .doesNotContain("\n")
                    .hasSizeLessThan(500);
        }
        assertThatThrownBy(() -> JobDocument.parse("base: s3://" + "x".repeat(2_000_000)))
                .hasMessage("the job document has 2000011 characters; at most 1000000 are read."
                        + " Data belongs in S3, referred to by URI");
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL + "seed: " + "9".repeat(500)))
                .hasMessageStartingWith("the job document: a number has more than 100 digits (line 4, ");
        assertThatThrownBy(() -> JobDocument.parse("x".repeat(500_000) + ": 1"))
                .isInstanceOf(InvalidJobException.class)
                .message()
                .hasSizeLessThan(500);
    }

    @Test
    void aSharedScalarMayBeWrittenOnce() {
        assertThat(JobDocument.parse("{base: &m 's3://m', aligned: *m, adapter: 's3://p'}")
                        .aligned())
                .isEqualTo("s3://m");
    }

    @ParameterizedTest
    @ValueSource(strings = {"all-linear", "'.*\\.(q|v)_proj'", "[q_proj, model.layers.0.mlp.up_proj]"})
    void targetModulesAreAListOrAText(String yaml) throws Exception {
        TargetModules targets = JobDocument.parse(
                        MINIMAL.replace("train.jsonl}", "train.jsonl, target_modules: " + yaml + "}"))
                .training()
                .targetModules();
        assertThat(targets.allLinear()).isEqualTo(yaml.equals("all-linear"));
        assertThat(targets.names() == null).isEqualTo(!yaml.startsWith("["));
        assertThat(Json.MAPPER.readValue(Json.canonical(targets), TargetModules.class))
                .isEqualTo(targets);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "target_modules: []",
                "target_modules: 3",
                "target_modules: [3]",
                "target_modules: ''",
                "layers_to_transform: [-1]",
                "safety_ratio: -1",
                "eval_steps: 0",
                "save_seconds: -1",
                "safety_data: ftp://x"
            })
    void trainingOptionsOutOfRangeAreNamed(String option) {
        assertThatThrownBy(() -> JobDocument.parse(MINIMAL.replace("train.jsonl}", "train.jsonl, " + option + "}")))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining("training." + option.substring(0, option.indexOf(':')));
    }
}
