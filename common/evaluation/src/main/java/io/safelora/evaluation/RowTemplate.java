package io.safelora.evaluation;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate;
import io.safelora.lm.jinja.Template;
import io.safelora.lm.jinja.TemplateException;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A template of a task file, for rows: Jinja as lm-evaluation-harness sets it, with the row's columns as variables. A
 * text that is the name of a column stands for the column.
 */
final class RowTemplate {
    /** No day is part of a prompt. */
    private static final Clock NO_TIME = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);

    private final String field;
    private final String source;
    private final Template text;
    /** The expression that the source is, as JSON; null: it is something else. */
    private final Template value;

    /**
     * @param field of the task file, for messages
     * @throws InvalidJobException if that is not a template
     */
    RowTemplate(String field, String source) {
        this.field = field;
        this.source = source;
        String stripped = source.strip();
        boolean expression = stripped.startsWith("{{") && stripped.indexOf("}}") == stripped.length() - 2;
        try {
            text = Template.parse(source, Template.Settings.TASK);
            value = expression
                    ? Template.parse(
                            "{{ (" + stripped.substring(2, stripped.length() - 2) + ") | tojson }}",
                            Template.Settings.TASK)
                    : null;
        } catch (TemplateException e) {
            throw new InvalidJobException(field + ": not a Jinja template: " + e.getMessage(), e);
        }
    }

    /** A row as templates see it: columns without a value are not there. */
    record Variables(Row row, Map<String, Object> values) {
        static Variables of(Row row) {
            Map<String, Object> values = new HashMap<>();
            row.values().fields().forEachRemaining(column -> {
                if (!column.getValue().isNull()) {
                    values.put(column.getKey(), ChatTemplate.value(column.getValue()));
                }
            });
            return new Variables(row, values);
        }
    }

    /** @throws InvalidArtifactException naming the row, if it lacks what the template asks for */
    String text(Variables row) {
        if (!row.row().has(source)) {
            return render(text, row);
        }
        JsonNode column = row.row().values().get(source);
        if (!column.isValueNode()) {
            throw row.row().invalid(field + ": column \"" + source + "\" is " + Row.kind(column) + ", not one text");
        }
        return column.asText();
    }

    /**
     * A list of texts.
     *
     * @throws InvalidArtifactException naming the row, if it is not one
     */
    List<String> texts(Variables row) {
        JsonNode list = row.row().values().get(source);
        if (list == null) {
            if (value == null) {
                throw row.row()
                        .invalid(field + ": is neither a column (it has "
                                + row.row().columns() + ") nor {{ an expression }}");
            }
            try {
                list = Json.MAPPER.readTree(render(value, row));
            } catch (JsonProcessingException e) {
                throw row.row().invalid(field + ": the expression gives no list");
            }
        }
        List<String> texts = new ArrayList<>();
        list.forEach(text -> texts.add(row.row().text(text, field)));
        if (texts.isEmpty()) {
            throw row.row().invalid(field + ": must be a list of texts, not " + Row.kind(list));
        }
        return texts;
    }

    private String render(Template template, Variables row) {
        try {
            return template.render(row.values(), NO_TIME).text();
        } catch (TemplateException e) {
            throw row.row()
                    .invalid(field + ": " + e.getMessage() + "; the row has "
                            + row.row().columns());
        }
    }
}
