package io.safelora.evaluation;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.artifacts.rows.Rows;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.contract.Json;
import io.safelora.contract.TaskFile;
import io.safelora.contract.TaskFile.Role;
import io.safelora.contract.TaskFile.Turn;
import io.safelora.evaluation.RowTemplate.Variables;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Writes a task's prompts, as lm-evaluation-harness 0.4.13 does. */
final class Prompts {
    /** All rows are kept in memory. */
    private static final long MAX_TEXT = 256L << 20;

    /** The harness's. */
    private static final long FEWSHOT_SEED = 1234;

    /** How published sets of requests name their column. */
    private static final List<String> REQUESTS =
            List.of("goal", "Goal", "prompt", "behavior", "Behavior", "question", "instruction", "request", "text");

    private final Task task;
    private final RowTemplate description;
    /** Turns before the examples, and the question last. */
    private final List<RowTemplate> turns = new ArrayList<>();

    private final List<Role> roles = new ArrayList<>();
    private final RowTemplate target;
    private final RowTemplate choices;

    /**
     * One row of a task's data.
     *
     * @param request what judges are told was asked: the request itself, else the question
     * @param target the right answer; empty where there is none
     * @param choices the answers to choose from; empty: any
     * @param gold the right one's number; -1: it is none of them
     */
    record TaskRow(Prompt prompt, String request, String target, List<String> choices, int gold) {
        /** Without choices. */
        TaskRow(Prompt prompt, String request, String target) {
            this(prompt, request, target, List.of(), -1);
        }
    }

    /** @throws io.safelora.contract.InvalidJobException if a text of the task file is not a template */
    Prompts(Task task) {
        this.task = task;
        TaskFile file = task.file();
        description = template("description", file.description());
        List<Turn> asked = file.asked(task.chat());
        for (int i = 0; i < asked.size(); i++) {
            boolean messages = asked == file.messages();
            turns.add(template(
                    messages ? "messages[" + i + "].content" : "doc_to_text",
                    asked.get(i).content()));
            roles.add(asked.get(i).role());
        }
        target = template("doc_to_target", file.docToTarget());
        choices = template("doc_to_choice", file.docToChoice());
    }

    private static RowTemplate template(String field, String source) {
        return source == null ? null : new RowTemplate(field, source);
    }

    /**
     * The rows of a task that a model is asked. With the default sampler every question gets other examples, drawn one
     * question after another, so the prompt of the tenth depends on the nine before.
     *
     * @throws InvalidArtifactException naming the row, if one is not the task's
     */
    static List<TaskRow> of(LocalTask local) throws IOException {
        Task task = local.task();
        List<Row> rows = read(local.data());
        if (rows.isEmpty()) {
            throw new InvalidArtifactException("the evaluation data have no rows");
        }
        return new Prompts(task)
                .of(
                        rows.subList(0, task.options().rows(rows.size())),
                        task.numFewshot() > 0 ? examples(local) : List.of());
    }

    private static List<Row> read(Path file) throws IOException {
        List<Row> rows = new ArrayList<>();
        Rows.read(file, MAX_TEXT, rows::add);
        return rows;
    }

    private static List<Row> examples(LocalTask local) throws IOException {
        int wanted = local.task().numFewshot();
        List<Row> rows = new ArrayList<>();
        String where = "fewshot_config.samples";
        if (local.fewshotData() != null) {
            where = local.fewshotData().getFileName().toString();
            rows = read(local.fewshotData());
        } else {
            for (Map<String, Object> sample :
                    local.task().file().fewshotConfig().samples()) {
                rows.add(new Row(Json.MAPPER.convertValue(sample, ObjectNode.class), where + ", " + (rows.size() + 1)));
            }
        }
        if (rows.size() < wanted) {
            throw new InvalidArtifactException(where + ": has " + rows.size() + " rows, but num_fewshot is " + wanted);
        }
        return rows;
    }

    List<TaskRow> of(List<Row> rows, List<Row> examples) {
        PythonRandom random = new PythonRandom(FEWSHOT_SEED);
        int shots = task.numFewshot();
        List<TaskRow> all = new ArrayList<>();
        for (Row row : rows) {
            List<Row> drawn = shots == 0
                    ? List.of()
                    : task.sampler() == FewshotSampler.first_n
                            ? examples.subList(0, shots)
                            : random.sample(examples, shots);
            all.add(of(row, drawn));
        }
        return all;
    }

    private TaskRow of(Row row, List<Row> examples) {
        Variables variables = variables(row);
        List<Message> before = new ArrayList<>();
        int first = roles.get(0) == Role.system ? 1 : 0;
        String system = Stream.of(
                        task.options().systemInstruction(),
                        description == null ? null : description.text(variables),
                        first == 0 ? null : turns.get(0).text(variables))
                .filter(part -> part != null && !part.isEmpty())
                .reduce(this::delimited)
                .orElse(null);
        if (system != null) {
            before.add(new Message(Role.system.name(), system));
        }
        for (int i = first; i < turns.size() - 1; i++) {
            before.add(new Message(roles.get(i).name(), turns.get(i).text(variables)));
        }
        for (Row example : examples) {
            Variables ofExample = variables(example);
            before.addAll(Prompt.example(question(ofExample), answer(ofExample)));
        }
        String question = question(variables);
        before.add(new Message(Role.user.name(), question));
        Prompt prompt =
                new Prompt(before, task.file().targetDelimiter(), task.file().fewshotDelimiter());
        String request =
                task.column() == null ? question : (String) variables.values().get("request");
        if (choices == null) {
            return new TaskRow(prompt, request, target == null ? "" : target.text(variables));
        }
        List<String> texts = choices.texts(variables);
        int gold = gold(texts, target.text(variables));
        return new TaskRow(prompt, request, gold < 0 ? "" : texts.get(gold), texts, gold);
    }

    private Variables variables(Row row) {
        Variables variables = Variables.of(row);
        String column = task.column();
        if (column != null) {
            if (!row.has(column)) {
                throw row.invalid("has no column \"" + column + "\", but " + row.columns() + requests(row));
            }
            String request = row.text(column);
            if (request.isBlank()) {
                throw row.invalid("\"" + column + "\" is empty; give a request or remove the row");
            }
            variables.values().put("request", request);
        }
        return variables;
    }

    private String question(Variables row) {
        return turns.get(turns.size() - 1).text(row);
    }

    private String answer(Variables row) {
        String answer = target.text(row);
        if (choices == null) {
            return answer;
        }
        List<String> texts = choices.texts(row);
        int gold = gold(texts, answer);
        if (gold < 0) {
            throw row.row().invalid("doc_to_target: \"" + answer + "\" is none of " + texts.size() + " choices");
        }
        return texts.get(gold);
    }

    /** The right choice by its number or its text. */
    private static int gold(List<String> choices, String target) {
        if (target.matches("[0-9]{1,9}")) {
            int number = Integer.parseInt(target);
            return number < choices.size() ? number : -1;
        }
        return choices.indexOf(target);
    }

    /** The harness puts a delimiter only where there is no white space. */
    private String delimited(String text, String more) {
        boolean apart =
                Character.isWhitespace(text.charAt(text.length() - 1)) || Character.isWhitespace(more.charAt(0));
        return text + (apart ? "" : task.file().fewshotDelimiter()) + more;
    }

    /** Which option would read a row, for the message. */
    private static String requests(Row row) {
        return REQUESTS.stream()
                .filter(row::has)
                .findFirst()
                .map(name -> "; column: " + name + " would read them")
                .orElse("; name the one that holds the requests by column");
    }
}
