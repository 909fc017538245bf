package io.safelora.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import io.quarkus.qute.Engine;
import io.quarkus.qute.HtmlEscaper;
import io.quarkus.qute.ReflectionValueResolver;
import io.quarkus.qute.TemplateInstance;
import io.quarkus.qute.Variant;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.StringJoiner;
import java.util.function.Predicate;

/**
 * report.html: one page without scripts or outside resources, with the numbers and the pictures of a job. Everything in it
 * is escaped: responses are whatever a model says.
 */
public final class Report {
    private static final int EXAMPLES = 8;
    private static final Map<String, String> STYLES =
            Map.of("aligned", "aligned", "fine-tuned", "tuned", "projected", "projected");
    private static final String TEMPLATE = resource("report.html");
    private static final Engine ENGINE = Engine.builder()
            .addDefaults()
            .addValueResolver(new ReflectionValueResolver())
            .addResultMapper(new HtmlEscaper(List.of(Variant.TEXT_HTML)))
            .build();

    private Report() {}

    /**
     * Renders the report.
     *
     * @param alignment folder with alignment.json
     * @param adapter the adapter or checkpoint before projection; with trainer_state.json unless it was brought along
     * @param projected the projected adapter or checkpoint, with selection.json
     * @param pareto how a sweep's repairs compare, or null
     * @param conclusion which model is the result, and what the scores say of it
     * @param origin further rows of the provenance: digests and versions
     */
    public static String html(
            String jobId,
            JobRequest request,
            Result result,
            Path alignment,
            Path adapter,
            Path projected,
            Pareto pareto,
            Conclusion conclusion,
            Map<String, String> origin)
            throws IOException {
        TemplateInstance page = ENGINE.parse(TEMPLATE, Variant.forContentType(Variant.TEXT_HTML))
                .instance();
        page.data("title", request.name() == null ? jobId : request.name());
        JsonNode selection = json(projected.resolve("selection.json"));
        String repaired = pareto == null || pareto.recommended() == null ? "projected" : pareto.recommended();
        page.data("lead", lead(result, selection, repaired, PeftAdapter.isIn(projected) ? "adapter" : "model"));
        page.data(
                "modelsTitle",
                pareto == null
                        ? "The three models"
                        : "The models: aligned, fine-tuned, and "
                                + (pareto.points().size() - 2) + " repairs");
        List<String> notes = new ArrayList<>(conclusion.sentences());
        notes.addAll(result.warnings());
        if (selection.hasNonNull("warning")) {
            notes.add(selection.get("warning").asText());
        }
        page.data("notes", notes);
        table(page, result, repaired);
        if (pareto == null) {
            scatter(page, result.scores());
        } else {
            front(page, pareto);
        }
        bars(page, selection);
        loss(page, json(adapter.resolve("trainer_state.json")));
        heat(page, json(alignment.resolve("alignment.json")).path("modules"));
        page.data("examples", examples(result.samples()));
        page.data("provenance", provenance(jobId, request, result, origin));
        return page.render();
    }

    private static String lead(Result result, JsonNode selection, String repaired, String what) {
        int modules = selection.path("modules").size();
        return String.format(
                Locale.ROOT,
                "%s %d of the %s's %d modules. %s",
                repaired.equals("projected")
                        ? "SafeLoRA projected"
                        : "Recommended of the sweep: " + repaired + ", which changes",
                selection.path("selected").size(),
                what,
                modules,
                harm(result.scores(), "aligned")
                        .map(aligned -> String.format(
                                Locale.ROOT,
                                "Harmful answers: %s aligned, %s after fine-tuning, %s after repair.",
                                percent(aligned),
                                percent(harm(result.scores(), "fine-tuned").orElse(Double.NaN)),
                                percent(harm(result.scores(), repaired).orElse(Double.NaN))))
                        .orElse(""));
    }

    private static Optional<Double> harm(List<Score> scores, String model) {
        return value(scores, model, s -> s.metric().equals(Scores.HARMFUL));
    }

    private static Optional<Double> value(List<Score> scores, String model, Predicate<Score> wanted) {
        return scores.stream()
                .filter(s -> s.model().equals(model) && wanted.test(s))
                .map(Score::value)
                .findFirst();
    }

    private static void table(TemplateInstance page, Result result, String repaired) {
        Map<String, Map<String, String>> columns = new LinkedHashMap<>();
        Map<String, Map<String, Map<String, String>>> rows = new LinkedHashMap<>();
        List<Score> shown = Scores.worthShowing(result.scores());
        for (Score score : result.scores()) {
            if (!shown.contains(score)) {
                continue;
            }
            String column = score.task() + " " + score.label();
            columns.put(
                    column,
                    Map.of(
                            "task",
                            score.task(),
                            "metric",
                            score.label().replace(",", ", ") + (score.higherIsBetter() ? " ↑" : " ↓")));
            rows.computeIfAbsent(score.model(), m -> new LinkedHashMap<>())
                    .put(
                            column,
                            Map.of(
                                    "value",
                                    score.metric().equals(AnswerLoss.METRIC)
                                            ? loss(score.value())
                                            : percent(score.value()),
                                    "detail",
                                    interval(score) + "n = " + score.samples()));
        }
        page.data("columns", columns.values());
        page.data(
                "rows",
                rows.entrySet().stream()
                        .map(row -> Map.of(
                                "model", row.getKey(),
                                "style", style(row.getKey(), repaired),
                                "cells",
                                        columns.keySet().stream()
                                                .map(c -> row.getValue()
                                                        .getOrDefault(c, Map.of("value", "–", "detail", "")))
                                                .toList()))
                        .toList());
    }

    private static String interval(Score score) {
        if (score.lower() == null) {
            return "";
        }
        return (score.metric().equals(AnswerLoss.METRIC)
                        ? loss(score.lower()) + " to " + loss(score.upper())
                        : percent(score.lower()) + " to " + percent(score.upper()))
                + " (" + score.interval() + "), ";
    }

    private static String style(String model, String repaired) {
        return model.equals(repaired) ? "projected" : STYLES.getOrDefault(model, "soft");
    }

    /** A sweep: every repair a point, those that nothing beats joined by a line. */
    private static void front(TemplateInstance page, Pareto pareto) {
        double low =
                pareto.points().stream().mapToDouble(Pareto.Point::skill).min().orElse(0);
        double high =
                pareto.points().stream().mapToDouble(Pareto.Point::skill).max().orElse(1);
        double range = Math.max(high - low, 1e-9);
        List<Map<String, Object>> points = new ArrayList<>();
        List<Map<String, Object>> dots = new ArrayList<>();
        List<double[]> line = new ArrayList<>();
        for (Pareto.Point p : pareto.points()) {
            double x = 60 + 550 * p.harmful();
            double share = (p.skill() - low) / range;
            double y = 272 - 244 * (pareto.higherIsBetter() ? share : 1 - share);
            boolean recommended = p.model().equals(pareto.recommended());
            String title = String.format(
                    Locale.ROOT,
                    "%s: %s %.4g, harmful %s",
                    p.model(),
                    pareto.metric(),
                    p.skill(),
                    percent(p.harmful()));
            if (p.front()) {
                line.add(new double[] {x, y});
            }
            if (recommended || STYLES.containsKey(p.model())) {
                boolean right = p.harmful() < 0.7;
                points.add(Map.of(
                        "model", p.model(),
                        "style", recommended ? "projected" : STYLES.get(p.model()),
                        "x", number(x),
                        "y", number(y),
                        "tx", number(right ? x + 12 : x - 12),
                        "ty", number(Math.max(16, Math.min(272, y + (recommended ? 24 : 18)))),
                        "anchor", right ? "start" : "end"));
            } else {
                dots.add(Map.of("x", number(x), "y", number(y), "front", p.front(), "title", title));
            }
        }
        line.sort(java.util.Comparator.<double[]>comparingDouble(at -> at[0]).thenComparingDouble(at -> -at[1]));
        StringJoiner path = new StringJoiner(" ");
        line.forEach(at -> path.add(number(at[0]) + "," + number(at[1])));
        List<Map<String, Object>> ticks = new ArrayList<>();
        for (int i = 0; i <= 4; i++) {
            double y = 272 - 61 * i;
            double skill = pareto.higherIsBetter() ? low + range * i / 4 : high - range * i / 4;
            ticks.add(Map.of(
                    "y", number(y),
                    "y4", number(y + 4),
                    "x", number(60 + 137.5 * i),
                    "label", 25 * i + " %",
                    "skill",
                            pareto.higherIsBetter()
                                    ? String.format(Locale.ROOT, "%.0f %%", 100 * skill)
                                    : String.format(Locale.ROOT, "%.2f", skill)));
        }
        page.data("scatter", points);
        page.data("dots", dots);
        page.data("front", path.toString());
        page.data("ticks", ticks);
        page.data("scatterScore", pareto.metric() + (pareto.higherIsBetter() ? "" : ", less is better"));
        page.data(
                "recommendation",
                pareto.recommended() == null ? "" : "Recommended: " + pareto.recommended() + ", " + pareto.why() + ".");
    }

    private static void scatter(TemplateInstance page, List<Score> scores) {
        List<Map<String, Object>> points = new ArrayList<>();
        for (String model : List.of("aligned", "fine-tuned", "projected")) {
            Optional<Double> harm = harm(scores, model);
            Optional<Double> skill = value(scores, model, Score::higherIsBetter);
            if (harm.isPresent() && skill.isPresent()) {
                double x = 60 + 550 * harm.get();
                double y = 280 - 260 * skill.get();
                // Labels of points that lie close together go to different sides.
                boolean right = harm.get() < 0.7;
                double shift = model.equals("projected") ? 22 : -12;
                points.add(Map.of(
                        "model", model,
                        "style", STYLES.get(model),
                        "x", number(x),
                        "y", number(y),
                        "tx", number(right ? x + 12 : x - 12),
                        "ty", number(Math.max(16, Math.min(272, y + shift))),
                        "anchor", right ? "start" : "end"));
            }
        }
        List<Map<String, Object>> ticks = new ArrayList<>();
        for (int i = 0; i <= 4; i++) {
            double y = 280 - 65 * i;
            ticks.add(Map.of(
                    "y",
                    number(y),
                    "y4",
                    number(y + 4),
                    "x",
                    number(60 + 137.5 * i),
                    "label",
                    25 * i + " %",
                    "skill",
                    25 * i + " %"));
        }
        page.data("scatter", points);
        page.data("dots", List.of());
        page.data("front", "");
        page.data("recommendation", "");
        page.data("ticks", ticks);
        page.data("scatterScore", "GSM8K strict match");
    }

    private static void bars(TemplateInstance page, JsonNode selection) {
        List<Map<String, Object>> bars = new ArrayList<>();
        // A large model has hundreds of modules: the picture shows the lowest cosines, the file has them all.
        int shown = Math.min(60, selection.path("modules").size());
        for (JsonNode module : selection.path("modules")) {
            if (bars.size() == shown) {
                break;
            }
            double y = 24 + 14 * bars.size();
            double cosine = module.path("cosine").asDouble(0);
            double shrinkage = module.path("shrinkage").asDouble(0);
            String name = module.path("module").asText();
            bars.add(Map.of(
                    "name", shortName(name),
                    "y", number(y),
                    "ty", number(y + 9),
                    "cosine", number(Math.max(1, 200 * Math.min(1, Math.max(0, cosine)))),
                    "shrinkage", number(Math.max(1, 200 * Math.min(1, shrinkage))),
                    "style", module.path("selected").asBoolean() ? "done" : "left",
                    "title",
                            String.format(
                                    Locale.ROOT,
                                    "%s: cosine %s, shrinkage %.4f",
                                    name,
                                    module.hasNonNull("cosine")
                                            ? String.format(Locale.ROOT, "%.4f", cosine)
                                            : "undefined",
                                    shrinkage)));
        }
        page.data("bars", bars);
        page.data("barsHeight", 30 + 14 * bars.size());
        page.data(
                "barsCaption",
                shown < selection.path("modules").size()
                        ? "The " + shown + " of lowest cosine; selection.json has all."
                        : "Lowest cosine first.");
    }

    private static String shortName(String module) {
        String name = module.replaceFirst("^model\\.layers\\.(\\d+)\\.", "$1 ");
        return name.length() > 30 ? "…" + name.substring(name.length() - 29) : name;
    }

    private static void loss(TemplateInstance page, JsonNode state) {
        List<JsonNode> steps = new ArrayList<>();
        // transformers ends the log with a summary that has no loss; a diverged run has NaN, which no picture can show.
        state.path("log_history").forEach(step -> {
            if (step.path("loss").isNumber() && Double.isFinite(step.get("loss").asDouble())) {
                steps.add(step);
            }
        });
        StringJoiner points = new StringJoiner(" ");
        double max = steps.stream()
                .mapToDouble(step -> step.get("loss").asDouble())
                .max()
                .orElse(0);
        for (int i = 0; i < steps.size(); i++) {
            double loss = steps.get(i).get("loss").asDouble();
            points.add(number(60 + 550.0 * i / Math.max(1, steps.size() - 1)) + ","
                    + number(180 - 160 * loss / Math.max(max, 1e-9)));
        }
        page.data("loss", points.toString());
        page.data("lossMax", String.format(Locale.ROOT, "%.2f", max));
        page.data("lossSteps", steps.size());
        page.data("lossFirst", steps.isEmpty() ? "" : loss(steps.get(0)));
        page.data("lossLast", steps.isEmpty() ? "" : loss(steps.get(steps.size() - 1)));
    }

    private static String loss(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }

    private static String loss(JsonNode step) {
        return String.format(Locale.ROOT, "%.3f", step.get("loss").asDouble());
    }

    private static void heat(TemplateInstance page, JsonNode alignment) {
        Map<Integer, Map<String, Double>> layers = new java.util.TreeMap<>();
        Set<String> kinds = new LinkedHashSet<>();
        for (JsonNode module : alignment) {
            ModuleName name = new ModuleName(module.path("module").asText());
            if (name.layer() != null) {
                kinds.add(name.inLayer());
                layers.computeIfAbsent(name.layer(), l -> new LinkedHashMap<>())
                        .put(name.inLayer(), module.path("relative").asDouble());
            }
        }
        double max = layers.values().stream()
                .flatMap(l -> l.values().stream())
                .mapToDouble(Double::doubleValue)
                .max()
                .orElse(0);
        List<Map<String, Object>> cells = new ArrayList<>();
        List<Map<String, Object>> labels = new ArrayList<>();
        double width = layers.isEmpty() ? 0 : Math.min(60, 430.0 / layers.size());
        int row = 0;
        for (String kind : kinds) {
            double y = 8 + 22 * row++;
            labels.add(Map.of("x", "170", "y", number(y + 15), "anchor", "end", "text", kind));
            int column = 0;
            for (var layer : layers.entrySet()) {
                double relative = layer.getValue().getOrDefault(kind, 0.0);
                cells.add(Map.of(
                        "x", number(180 + width * column++),
                        "y", number(y),
                        "w", number(width - 1),
                        "h", "20",
                        "share", number(max == 0 ? 0 : 100 * relative / max),
                        "title", String.format(Locale.ROOT, "layer %d, %s: %.4f", layer.getKey(), kind, relative)));
            }
        }
        int column = 0;
        int every = Math.max(1, layers.size() / 10);
        for (int layer : layers.keySet()) {
            if (column % every == 0) {
                labels.add(Map.of(
                        "x", number(180 + width * column + width / 2),
                        "y", number(8 + 22 * kinds.size() + 14),
                        "anchor", "middle",
                        "text", Integer.toString(layer)));
            }
            column++;
        }
        page.data("heat", cells);
        page.data("heatLabels", labels);
        page.data("heatHeight", 30 + 22 * kinds.size());
        page.data("heatMax", String.format(Locale.ROOT, "%.4f", max));
    }

    private static List<Map<String, Object>> examples(List<Sample> samples) {
        Map<String, List<Map<String, String>>> byPrompt = new LinkedHashMap<>();
        // Requests first: whether they are refused is what the job is about.
        for (boolean judged : new boolean[] {true, false}) {
            samples.stream()
                    .filter(s -> s.verdicts().isEmpty() != judged && s.row() < EXAMPLES / 2)
                    .filter(s -> judged || !s.values().containsKey(AnswerLoss.METRIC))
                    .forEach(s -> byPrompt.computeIfAbsent(s.prompt(), p -> new ArrayList<>())
                            .add(Map.of(
                                    "model", s.model(),
                                    "style", STYLES.getOrDefault(s.model(), "soft"),
                                    "response", s.response().strip(),
                                    "verdict", verdict(s))));
        }
        return byPrompt.entrySet().stream()
                .map(e -> Map.<String, Object>of("prompt", lastLines(e.getKey()), "answers", e.getValue()))
                .toList();
    }

    private static String verdict(Sample sample) {
        if (sample.verdicts().isEmpty()) {
            return sample.values().values().iterator().next() > 0 ? "correct" : "wrong";
        }
        boolean harm = sample.values().keySet().stream().anyMatch(metric -> metric.startsWith(Scores.HARMFUL));
        return sample.verdicts().values().iterator().next().inWords(harm);
    }

    /** A few-shot prompt is long; the question is its end. */
    private static String lastLines(String prompt) {
        int at = prompt.lastIndexOf("Question:");
        String question = at < 0 ? prompt : prompt.substring(at);
        return question.length() > 300 ? "…" + question.substring(question.length() - 300) : question;
    }

    private static List<Map<String, String>> provenance(
            String jobId, JobRequest request, Result result, Map<String, String> origin) {
        Map<String, String> rows = new LinkedHashMap<>();
        rows.put("job", jobId);
        rows.put("base", request.base());
        rows.put("aligned", request.aligned());
        if (request.adapter() != null) {
            rows.put("adapter", request.adapter());
        }
        rows.put("selection", new String(Json.canonical(request.selection()), StandardCharsets.UTF_8));
        if (request.training() != null) {
            rows.put("training", new String(Json.canonical(request.training()), StandardCharsets.UTF_8));
        }
        request.evaluation()
                .forEach(task -> rows.put(
                        "evaluation, " + task.task(), new String(Json.canonical(task), StandardCharsets.UTF_8)));
        result.seconds()
                .forEach((what, seconds) -> rows.put("time, " + what, String.format(Locale.ROOT, "%.1f s", seconds)));
        rows.putAll(origin);
        return rows.entrySet().stream()
                .map(e -> Map.of("name", e.getKey(), "value", e.getValue()))
                .toList();
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.1f", value);
    }

    private static JsonNode json(Path file) throws IOException {
        return Files.exists(file) ? Json.MAPPER.readTree(file.toFile()) : Json.MAPPER.missingNode();
    }

    private static String resource(String name) {
        try (InputStream in = Report.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new ExceptionInInitializerError(e);
        }
    }
}
