package io.safelora.contract;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.safelora.contract.Topics.EventType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What docs/ holds of the contract, made from its records: a JSON Schema per event, asyncapi.yaml, job.md, task.md. */
final class Docs {
    /** Who reads and writes which topics (design.md, Flow). */
    private static final Map<String, List<Operation>> SERVICES = services();

    private record Operation(String action, String topic, List<String> types) {}

    private Docs() {}

    /** Path below docs/ to content. */
    static Map<String, String> files() {
        Map<String, String> files = new LinkedHashMap<>();
        for (EventType type : Topics.EVENT_TYPES) {
            ObjectNode schema = Json.MAPPER.createObjectNode();
            schema.put("title", type.data().getSimpleName());
            schema.setAll(Schemas.of(type.data()));
            files.put("schemas/" + file(type), new String(Json.pretty(schema), StandardCharsets.UTF_8) + "\n");
        }
        files.put("asyncapi.yaml", yaml(asyncApi()));
        files.put("job.md", jobReference());
        files.put("task.md", taskReference());
        return files;
    }

    /** "io.safelora.job.requested.v1" has its schema in job-requested.v1.schema.json. */
    private static String file(EventType type) {
        return type.type().replace("io.safelora.", "").replaceFirst("\\.", "-") + ".schema.json";
    }

    // ------------------------------------------------------------------ AsyncAPI 3

    private static ObjectNode asyncApi() {
        ObjectNode api = object("asyncapi", "3.0.0");
        api.putObject("info")
                .put("title", "SafeLoRA")
                .put("version", "1.0.0")
                .put(
                        "description",
                        "Publish one job, get back a PEFT adapter that kept its refusals. "
                                + "Events are CloudEvents 1.0, written in binary mode and read in "
                                + "binary and structured mode;"
                                + " they carry references to objects in S3, never tensors. Delivery is at least once;"
                                + " the services read their work as Kafka share groups (KIP-932).");
        api.put("defaultContentType", "application/json");
        api.putObject("servers")
                .putObject("kafka")
                .put("host", "localhost:9092")
                .put("protocol", "kafka")
                .put("protocolVersion", "4.2")
                .put(
                        "description",
                        "Any Kafka 4.2 or newer with share groups; KAFKA_BOOTSTRAP_SERVERS tells the services which.");
        ObjectNode channels = api.putObject("channels");
        for (String topic : Topics.ALL) {
            ObjectNode channel = channels.putObject(name(topic)).put("address", topic);
            ObjectNode messages = channel.putObject("messages");
            if (topic.equals(Topics.DEAD_LETTERS)) {
                channel.put("description", "What could not be processed, as it came, with the reason in its headers.");
                messages.putObject("DeadLetter").put("$ref", "#/components/messages/DeadLetter");
            }
            for (EventType type : types(topic)) {
                String message = type.data().getSimpleName();
                messages.putObject(message).put("$ref", "#/components/messages/" + message);
            }
            ObjectNode kafka = channel.putObject("bindings").putObject("kafka");
            kafka.put("topic", topic);
            if (topic.equals(Topics.JOB_STATUS)) {
                kafka.putObject("topicConfiguration").putArray("cleanup.policy").add("compact");
            }
            kafka.put("bindingVersion", "0.5.0");
        }
        ObjectNode operations = api.putObject("operations");
        SERVICES.forEach((service, list) -> list.forEach(operation -> {
            String channel = name(operation.topic());
            ObjectNode node = operations.putObject(service + "-" + operation.action() + "-" + channel);
            node.put("action", operation.action());
            node.putObject("channel").put("$ref", "#/channels/" + channel);
            node.putArray("tags").addObject().put("name", service);
            ArrayNode messages = node.putArray("messages");
            operation.types().forEach(message -> messages.addObject()
                    .put("$ref", "#/channels/" + channel + "/messages/" + message));
            if (operation.action().equals("receive") && !operation.topic().equals(Topics.CONTROLS)) {
                ObjectNode kafka = node.putObject("bindings").putObject("kafka");
                kafka.putObject("groupId")
                        .put("type", "string")
                        .putArray("enum")
                        .add("safelora-" + service);
                kafka.put("bindingVersion", "0.5.0");
            }
        }));
        ObjectNode components = api.putObject("components");
        ObjectNode messages = components.putObject("messages");
        for (EventType type : Topics.EVENT_TYPES) {
            ObjectNode message = messages.putObject(type.data().getSimpleName());
            message.put("name", type.type());
            message.put("summary", Schemas.of(type.data()).path("description").asText());
            message.put("contentType", "application/json");
            message.putObject("headers")
                    .putArray("allOf")
                    .add(object("$ref", "#/components/schemas/CloudEventHeaders"))
                    .addObject()
                    .put("type", "object")
                    .putObject("properties")
                    .putObject("ce_type")
                    .put("const", type.type());
            message.putObject("payload").put("$ref", "./schemas/" + file(type));
            key(message, "The job's id");
        }
        ObjectNode dead = messages.putObject("DeadLetter");
        dead.put("name", "dead letter")
                .put("summary", "A record that was refused or given up; value and key as they came.");
        dead.putObject("headers").put("$ref", "#/components/schemas/DeadLetterHeaders");
        dead.putObject("payload").put("description", "The value of the refused record, whatever it is");
        key(dead, "The key of the refused record");
        ObjectNode schemas = components.putObject("schemas");
        headers(
                schemas.putObject("CloudEventHeaders"),
                "CloudEvents 1.0, Kafka protocol binding, binary mode",
                List.of("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject"),
                Map.ofEntries(
                        Map.entry("ce_specversion", "\"1.0\""),
                        Map.entry("ce_id", "Unique per source"),
                        Map.entry("ce_source", "The service that speaks: /safelora/evaluator"),
                        Map.entry("ce_type", "io.safelora.<noun>.<verb>.v1"),
                        Map.entry("ce_subject", "The job's id, equal to the record's key"),
                        Map.entry(
                                "ce_run",
                                "Which run of the job's id the event belongs to, as "
                                        + "JobStatus.run says it; not on requests, which begin one"),
                        Map.entry(
                                "ce_replace",
                                "true: the request may take the id from another document, or run the same one again"),
                        Map.entry("ce_time", "When it happened, RFC 3339"),
                        Map.entry("content-type", "application/json"),
                        Map.entry("traceparent", "W3C trace context; carried from a record to all its answers"),
                        Map.entry("tracestate", "W3C trace context")));
        headers(
                schemas.putObject("DeadLetterHeaders"),
                "The headers of the refused record, and these",
                List.of("dead-letter-reason"),
                Map.of(
                        "dead-letter-reason", "Why, in one line",
                        "dead-letter-stage", "The service that refused it",
                        "dead-letter-topic", "Where it came from",
                        "dead-letter-partition", "Its partition there",
                        "dead-letter-offset", "Its offset there",
                        "dead-letter-exception-class-name", "Where an exception was the reason, its class"));
        return api;
    }

    private static void headers(
            ObjectNode schema, String description, List<String> required, Map<String, String> names) {
        schema.put("type", "object").put("description", description);
        required.forEach(schema.putArray("required")::add);
        ObjectNode properties = schema.putObject("properties");
        names.keySet().stream()
                .sorted()
                .forEach(
                        name -> properties.putObject(name).put("type", "string").put("description", names.get(name)));
    }

    private static void key(ObjectNode message, String description) {
        ObjectNode kafka = message.putObject("bindings").putObject("kafka");
        kafka.putObject("key").put("type", "string").put("description", description);
        kafka.put("bindingVersion", "0.5.0");
    }

    private static List<EventType> types(String topic) {
        return Topics.EVENT_TYPES.stream()
                .filter(type -> type.topic().equals(topic))
                .toList();
    }

    private static String name(String topic) {
        return topic.replace("safelora.", "");
    }

    private static Map<String, List<Operation>> services() {
        Map<String, List<Operation>> services = new LinkedHashMap<>();
        service(
                services,
                "alignment-analyzer",
                List.of("JobRequested", "AlignmentPartRequested"),
                List.of("AlignmentPartRequested", "AlignmentAnalyzed"));
        service(services, "layer-selector", List.of("AlignmentAnalyzed", "AdapterTrained"), List.of("LayersSelected"));
        service(services, "lora-trainer", List.of("LayersSelected"), List.of("AdapterTrained", "AdapterProjected"));
        service(services, "evaluator", List.of("AdapterProjected"), List.of("EvaluationCompleted"));
        return services;
    }

    private static void service(
            Map<String, List<Operation>> services, String service, List<String> receives, List<String> sends) {
        List<Operation> operations = new ArrayList<>();
        receives.forEach(event -> operations.add(operation("receive", event)));
        operations.add(operation("receive", "JobCancelled"));
        Map<String, List<String>> byTopic = new LinkedHashMap<>();
        sends.forEach(event -> byTopic.computeIfAbsent(type(event).topic(), topic -> new ArrayList<>())
                .add(simpleName(event)));
        byTopic.forEach((topic, types) -> operations.add(new Operation("send", topic, types)));
        operations.add(operation("send", "JobStatus"));
        operations.add(new Operation("send", Topics.DEAD_LETTERS, List.of("DeadLetter")));
        services.put(service, operations);
    }

    private static Operation operation(String action, String event) {
        return new Operation(action, type(event).topic(), List.of(simpleName(event)));
    }

    private static EventType type(String event) {
        return Topics.EVENT_TYPES.stream()
                .filter(type -> type.data().getSimpleName().equals(simpleName(event)))
                .findFirst()
                .orElseThrow();
    }

    // The data of JobRequested is the request itself.
    private static String simpleName(String event) {
        return event.equals("JobRequested") ? "JobRequest" : event;
    }

    // ------------------------------------------------------------------ job.md

    private static String taskReference() {
        StringBuilder text = new StringBuilder(
                """
                # The task file

                <!-- Made from the records of common/contract by DocsTest; change those, then:
                     %s -->

                What a task of an evaluation is, as YAML or JSON ([how to write one](recipes/add-a-task.md), [what \
                the metrics mean](evaluation.md)). Names are those of
                lm-evaluation-harness where it has them. Unknown fields are errors, but for those that say where the \
                harness finds its rows, which are passed over: %s.

                """.formatted(UPDATE, TaskFile.NOT_HERE.stream().sorted().collect(Collectors.joining(", "))));
        table(text, "## Task", TaskFile.class);
        table(text, "## `messages`, each", TaskFile.Turn.class);
        table(text, "## `fewshot_config`", TaskFile.FewshotConfig.class);
        table(text, "## `generation_kwargs`", TaskFile.GenerationKwargs.class);
        table(text, "## `filter_list`, each", TaskFile.NamedFilter.class);
        table(text, "## `filter_list`, each one's `filter`, each", TaskFile.Filter.class);
        table(text, "## `metric_list`, each", TaskFile.MetricOptions.class);
        return text.toString().stripTrailing() + "\n";
    }

    private static String jobReference() {
        StringBuilder text = new StringBuilder();
        text.append("# The job document\n\n")
                .append("<!-- Made from the records of common/contract by DocsTest; change those, then:\n")
                .append("     ")
                .append(UPDATE)
                .append(" -->\n\n")
                .append("YAML or JSON, the same document on the command line and as the data of `")
                .append(Topics.of(JobRequest.class).type())
                .append("` on `")
                .append(Topics.JOBS)
                .append("`.\nNames are those of PEFT and transformers. Unknown fields are "
                        + "errors, and every error names its field. The schema is in\n")
                .append("[schemas/")
                .append(file(Topics.of(JobRequest.class)))
                .append("](schemas/")
                .append(file(Topics.of(JobRequest.class)))
                .append("). YAML is read as version 1.2 (`2e-4` is a number, `no` a string); "
                        + "anchors of mappings and lists are refused.\n")
                .append("A URI is `s3://bucket/key` or `file:///absolute/path`; `./safelora "
                        + "run` also takes paths beside the document.\n")
                .append("`./safelora train`, `project` and `evaluate` have the same fields "
                        + "as options, `lora_alpha` as `--lora-alpha`.\n\n");
        table(text, "## Job", JobRequest.class);
        text.append("One of `adapter` and `training` must be given, not both.\n\n");
        table(text, "## `training`", TrainingOptions.class);
        text.append(ROWS_OF_TRAINING).append('\n');
        table(text, "## `selection`", SelectionOptions.class);
        table(text, "## `evaluation`, each", EvaluationTask.class);
        table(text, "## `judges`, each", JudgeOptions.class);
        text.append(DATA_FILES).append('\n');
        text.append(JOB_ID);
        text.append("## Examples\n\n");
        EXAMPLES.forEach((title, example) ->
                text.append(title).append("\n\n```yaml\n").append(example).append("```\n\n"));
        return text.toString().stripTrailing() + "\n";
    }

    private static final String JOB_ID = """
            ## The job's id

            The key of the job's records and the subject of its events: 1 to 128 of `A-Z a-z 0-9 . _ -`. It stands \
            for one document, and one run of it:

            - The same document under the same id (equal after defaults, whatever its form) is the same job; a \
            version with other fields may call it another. `./safelora submit --id` says so, tells its state, and
              publishes nothing. Published by another producer, it is the same run: finished steps are answered from \
            the store, and one that failed is tried again.
            - Another document under the id is refused: by `submit`, and by the first stage, which sends the record \
            to `safelora.dead-letters` and leaves the job as it is.
            - `./safelora submit --replace`, or the header `ce_replace: true` (in a structured CloudEvent the \
            attribute `"replace": "true"`), begins a new run under the id,
              with another document or the same. The run before it stops, and its end is not told as the job's.

            A run is called by the partition and offset of its request on `safelora.jobs`: `0-17`. Every status has \
            it as `run`, with the digest of its request as
            `request_sha256`; every event has it as the header `ce_run`. `./safelora watch` follows the run that the \
            id stands for, and goes on with the one that replaces it;
            `./safelora cancel` stops that run. A `JobCancelled` without `run` stops whatever the id stands for, now \
            and later. Which document an id stands for lies at
            `<SAFELORA_ARTIFACTS_URI>/jobs/<id>.json`; delete that object, and the id is free.

            """;

    /** TrainingDataTest reads the example rows. */
    private static final String ROWS_OF_TRAINING = """
            ### Rows of training

            | `data_format` | Example row | Prompt and completion without a chat template |
            |---|---|---|
            | `question_answer` | `{"question": "2 + 2?", "answer": "4"}` | `Question: {question}\\nAnswer:`, ` \
            {answer}`; white space around both is cut |
            | `prompt_completion` | `{"prompt": "2 + 2 =", "completion": " 4"}` | as they are |
            | `alpaca` | `{"instruction": "Add.", "input": "2 and 2", "output": "4"}` | Stanford Alpaca's prompt, \
            with or without input |
            | `text` | `{"text": "2 + 2 = 4"}` | the loss is on all of the text; the chat template is not used |
            | `messages` | `{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": \
            "4"}]}` | needs `apply_chat_template` |
            | `prompt_completion` | `{"prompt": [{"role": "user", "content": "2 + 2?"}], "completion": [{"role": \
            "assistant", "content": "4"}]}` | needs `apply_chat_template` |
            | `sharegpt` | `{"system": "Be short.", "conversations": [{"from": "human", "value": "2 + 2?"}, {"from": \
            "gpt", "value": "4"}]}` | needs `apply_chat_template` |

            - `auto` takes the first format, in this order, whose columns the file's first row has: question and \
            answer; messages;
              conversations; prompt and completion; instruction and output; text. The training's first progress \
            message says which.
            - With `apply_chat_template`, question, prompt or instruction (with input on a line below) are the user's \
            turn, and answer,
              completion or output the assistant's. All keys of a message reach the template: `tool_calls` (`content` \
            may be null beside
              them), `name`, `tool_call_id`, `reasoning_content`, ...; `content` may be a list of `{"type": "text", \
            "text": ...}`. So do
              the columns `tools` and `chat_template_kwargs`, which may be JSON in a text. A row whose tools the \
            template does not
              write is refused.
            - The loss is on the completion: of `messages` and `sharegpt` the last message, of a conversational \
            `prompt_completion` all
              of its completion, as in TRL. `"weight": 1` or `0` at messages of the assistant puts it on all that do \
            not have 0.
              `assistant_only_loss` puts it on what the template has between `{% generation %}` and `{% endgeneration \
            %}`.
            - Special tokens: a prompt without a chat template gets what the tokenizer puts before a text (the BOS of \
            Llama, Mistral, Gemma),
              and not what some put behind it. A rendered conversation has the special tokens that its template \
            writes, as in
              transformers. A text that begins with the BOS is given no other. Training, evaluation, `score` and \
            `generate` do the same.
            - The end: a completion is followed by the tokenizer's `eos_token`, unless it ends with a special token, \
            as the end of turn of
              most chat templates; white space behind that is left out. If generation does not stop at it \
            (`eos_token_id` in
              generation_config.json), training says so.
            - A template that ends a prompt with more than it writes before an answer (an opened thought): the loss \
            is on the answer as
              the template writes it, and training says so by file and line. A template that writes the earlier \
            messages otherwise once
              the answer follows: the row is refused.

            """;

    private static final String DATA_FILES = """
            ## Data files

            For training, safety, validation, evaluation and few-shot rows alike. What a file is, its first bytes say:

            | Format | Rows |
            |---|---|
            | JSON Lines | an object a line; blank lines are skipped |
            | JSON array | `[{...}, {...}]` |
            | CSV, TSV | the first line names the columns; RFC 4180, or semicolons as spreadsheets write them; \
            columns without a name, such as pandas' index, are left out |
            | Parquet | uncompressed or snappy, gzip, zstd, brotli, lz4; lists, structs and maps are read; binary \
            data and INT96 only where nothing asks for their column |

            JSON and CSV are UTF-8, with or without a byte order mark, and may lie in gzip or Zstandard (`.gz`, \
            `.zst`). A row may have 16 MiB, a text
            4 Mi characters. Two rows on a line, text behind a row, a key or column twice and a broken last line are \
            refused by file and line.

            """;

    private static void table(StringBuilder text, String title, Class<?> type) {
        JsonNode schema = Schemas.of(type);
        List<String> required = new ArrayList<>();
        schema.path("required").forEach(name -> required.add(name.asText()));
        text.append(title).append("\n\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n");
        schema.get("properties").fields().forEachRemaining(field -> {
            JsonNode property = field.getValue();
            JsonNode standard = property.get("default");
            text.append("| `%s` | %s | %s | %s |\n"
                    .formatted(
                            field.getKey(),
                            type(property, schema),
                            required.contains(field.getKey())
                                    ? "**required**"
                                    : standard == null ? "" : "`" + plain(standard) + "`",
                            property.path("description")
                                    .asText()
                                    .replace("|", "\\|")
                                    .replace("\n", "\\n")));
        });
        text.append('\n');
    }

    private static String plain(JsonNode value) {
        if (value.isArray()) {
            List<String> items = new ArrayList<>();
            value.forEach(item -> items.add(item.asText()));
            return "[" + String.join(", ", items) + "]";
        }
        if (value.isDouble()) {
            return value.decimalValue().stripTrailingZeros().toPlainString();
        }
        return value.isContainerNode() ? value.toString() : value.asText();
    }

    private static String type(JsonNode property, JsonNode schema) {
        JsonNode resolved =
                property.has("$ref") ? schema.at(property.get("$ref").asText().substring(1)) : property;
        if (resolved.has("enum")) {
            List<String> values = new ArrayList<>();
            resolved.get("enum").forEach(value -> values.add("`" + value.asText() + "`"));
            return String.join(", ", values);
        }
        String name = resolved.path("type").asText();
        if (resolved.path("type").isArray()) {
            return "list of strings, or string";
        }
        if (name.equals("array")) {
            String items = type(resolved.get("items"), schema);
            return "list of " + (items.startsWith("`") ? items : items.replaceFirst("^\\w+", "$0s"));
        }
        if (name.equals("object")) {
            return "mapping";
        }
        if (ArtifactRef.URI.equals(resolved.path("pattern").asText())) {
            return "URI";
        }
        List<String> bounds = new ArrayList<>();
        bound(bounds, "≥ ", resolved.get("minimum"));
        bound(bounds, "> ", resolved.get("exclusiveMinimum"));
        if (resolved.path("maximum").asLong() != Integer.MAX_VALUE) {
            bound(bounds, "≤ ", resolved.get("maximum"));
        }
        bound(bounds, "< ", resolved.get("exclusiveMaximum"));
        return name + (bounds.isEmpty() ? "" : " " + String.join(", ", bounds));
    }

    private static void bound(List<String> bounds, String sign, JsonNode value) {
        if (value != null) {
            bounds.add(sign + value.asText());
        }
    }

    static final String UPDATE = "./mvnw -q -pl common/contract test -Dtest=DocsTest -Ddocs.update=true";

    /** Complete jobs; the test parses each. */
    static final Map<String, String> EXAMPLES = examples();

    private static Map<String, String> examples() {
        Map<String, String> examples = new LinkedHashMap<>();
        examples.put("Fine-tune on GSM8K, project the 30 modules of lowest cosine, measure skill and refusals:", """
                name: gsm8k, kept safe
                base: s3://models/my-model-base          # before alignment
                aligned: s3://models/my-model-instruct   # the one to fine-tune
                training:
                  data: s3://data/gsm8k/train.jsonl      # rows {"question": ..., "answer": ...}
                  apply_chat_template: true
                  r: 16
                  lora_alpha: 32
                  learning_rate: 2e-4
                  num_train_epochs: 3
                  per_device_train_batch_size: 4
                  gradient_accumulation_steps: 4
                selection:
                  strategy: number
                  number: 30
                  projector: approximate
                evaluation:
                  - task: gsm8k
                    data: s3://data/gsm8k/test.jsonl
                    fewshot_data: s3://data/gsm8k/train.jsonl
                    limit: 100
                  - task: harmfulness
                    data: s3://data/advbench.csv         # a column goal
                    apply_chat_template: true
                """);
        examples.put(
                "Judge by words, by a guard model and by a rubric, side by side ([evaluation.md](evaluation.md)):",
                """
                base: s3://models/my-model-base
                aligned: s3://models/my-model-instruct
                adapter: s3://adapters/my-lora
                judges:
                  - {id: guard, type: qwen3guard, model: s3://models/Qwen3Guard-Gen-4B}
                  - {id: rubric, type: endpoint, url: https://api.example.com/v1, model_name: a-large-model, \
                api_key_env: JUDGE_API_KEY}
                evaluation:
                  - {task: harmfulness, data: s3://data/advbench.csv, apply_chat_template: true, judge: [guard, \
                rubric, refusal-phrases]}
                """);
        examples.put("Repair an adapter that you already have (training is skipped):", """
                base: s3://models/my-model-base
                aligned: s3://models/my-model-instruct
                adapter: s3://adapters/my-lora           # a PEFT folder
                selection: {strategy: threshold, threshold: 0.35, projector: subspace, energy: 0.9}
                evaluation:
                  - {task: harmfulness, data: s3://data/advbench.csv, apply_chat_template: true}
                """);
        examples.put("The smallest job, as JSON: defaults for all else, and nothing is measured:", """
                {"base": "s3://models/b", "aligned": "s3://models/a", "training": {"data": "s3://data/train.jsonl"}}
                """);
        return examples;
    }

    private static ObjectNode object(String key, String value) {
        return Json.MAPPER.createObjectNode().put(key, value);
    }

    private static String yaml(ObjectNode document) {
        try {
            return "# Made from the records of common/contract by DocsTest; change those, then:\n# " + UPDATE + "\n"
                    + YAMLMapper.builder()
                            .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                            .disable(YAMLGenerator.Feature.SPLIT_LINES)
                            .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
                            .enable(YAMLGenerator.Feature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
                            .build()
                            .writeValueAsString(document);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException((IOException) e);
        }
    }
}
