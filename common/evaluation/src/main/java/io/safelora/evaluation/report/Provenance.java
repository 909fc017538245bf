package io.safelora.evaluation.report;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the result was made of: inputs, options, digests, versions. One that wants to make it again needs no more. */
public record Provenance(List<Group> groups) {

    /** Rows that belong together. */
    public record Group(String name, List<Row> rows) {}

    /** One fact. */
    public record Row(String name, String value) {}

    /**
     * @param origin digests and versions by what they are of
     * @param seconds by what took them
     */
    static Provenance of(String job, JobRequest request, Map<String, String> origin, Map<String, Double> seconds) {
        List<Row> inputs = new ArrayList<>();
        inputs.add(new Row("job", job));
        inputs.add(new Row("base", String.valueOf(request.base())));
        inputs.add(new Row("aligned", request.aligned()));
        if (request.adapter() != null) {
            inputs.add(new Row("adapter", request.adapter()));
        }
        origin.forEach((name, value) -> inputs.add(new Row(name, value)));
        List<Group> groups = new ArrayList<>();
        groups.add(new Group("Inputs and digests", inputs));
        options(groups, "Selection and repair", request.selection());
        options(groups, "Training", request.training());
        request.evaluation().forEach(task -> options(groups, "Evaluation: " + task.task(), task));
        List<Row> times = new ArrayList<>();
        seconds.forEach((what, s) -> times.add(new Row(what, String.format(Locale.ROOT, "%.1f s", s))));
        if (!times.isEmpty()) {
            groups.add(new Group("Time", times));
        }
        return new Provenance(groups);
    }

    private static void options(List<Group> groups, String name, Object options) {
        if (options == null) {
            return;
        }
        List<Row> rows = new ArrayList<>();
        JsonNode json = Json.MAPPER.valueToTree(options);
        json.properties().forEach(option -> {
            JsonNode value = option.getValue();
            rows.add(new Row(option.getKey(), value.isTextual() ? value.textValue() : value.toString()));
        });
        groups.add(new Group(name, rows));
    }
}
