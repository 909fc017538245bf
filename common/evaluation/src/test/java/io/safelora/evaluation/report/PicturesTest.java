package io.safelora.evaluation.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.safelora.evaluation.Outcome;
import io.safelora.evaluation.report.Modules.Module;
import io.safelora.evaluation.report.SkillAndHarm.Point;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jsoup.Jsoup;
import org.jsoup.nodes.Element;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the pictures show, read off them as a reader would: positions by the labels of the axes, colours by the legend.
 */
class PicturesTest {
    @TempDir
    Path dir;

    private static Element picture(ReportFacts facts, String key) {
        return Jsoup.parse(Report.html(facts))
                .select("svg[aria-labelledby^=" + key + "]")
                .first();
    }

    @Test
    void modelsStandWhereTheAxesSay() throws IOException {
        ReportFacts facts = Outcome.ofDemo()
                .model("drop number=25", 60, 3)
                .model("scale 0.5", 160, 30)
                .sweep()
                .facts(dir);
        plane(facts, picture(facts, "plane"));
    }

    @Test
    void valuesThatLieCloseTogetherHaveAnAxisOfTheirOwn() throws IOException {
        ReportFacts facts = new Outcome()
                .rows(1319, 64)
                .model("aligned", 700, 0)
                .model("fine-tuned", 740, 40)
                .model("projected", 730, 2)
                .facts(dir);
        Element svg = picture(facts, "plane");
        plane(facts, svg);
        assertThat(svg.select("text.skill").eachText()).doesNotContain("0 %", "100 %");
    }

    @Test
    void aLowerLossIsHigherUp() throws IOException {
        ReportFacts shares = Outcome.ofDemo().facts(dir);
        ScoreTable.Measure skill = shares.plane().skill();
        SkillAndHarm plane = new SkillAndHarm(
                new ScoreTable.Measure(
                        skill.task(), "loss", null, skill.kind(), "Loss", false, false, skill.cells(), List.of()),
                shares.plane().harm(),
                shares.plane().points(),
                null,
                null);
        ReportFacts facts = new ReportFacts(
                shares.title(),
                shares.headline(),
                shares.scores(),
                plane,
                shares.modules(),
                shares.training(),
                shares.answers(),
                shares.warnings(),
                shares.provenance());
        Element svg = picture(facts, "plane");
        plane(facts, svg);
        // Of the values 0.44, 0.91 and 0.88 the first is now the best.
        assertThat(y(svg, "aligned")).isLessThan(y(svg, "projected")).isLessThan(y(svg, "fine-tuned"));
    }

    private static void plane(ReportFacts facts, Element svg) {
        Map<Double, Double> harms = axis(svg, "text.harm", "x");
        Map<Double, Double> skills = axis(svg, "text.skill", "y");
        assertThat(harms.get(0.0)).isLessThan(harms.get(1.0));
        // As the caption says: up is more skill.
        double little = skills.get(Collections.min(skills.keySet()));
        double much = skills.get(Collections.max(skills.keySet()));
        assertThat(much < little).isEqualTo(facts.plane().skill().higherIsBetter());
        Map<String, double[]> marks = new HashMap<>();
        for (Element mark : svg.select("g.mark")) {
            Matcher at = Pattern.compile("translate\\((\\S+) (\\S+)\\)").matcher(mark.attr("transform"));
            assertThat(at.matches()).isTrue();
            marks.put(
                    mark.attr("data-model"),
                    new double[] {Double.parseDouble(at.group(1)), Double.parseDouble(at.group(2))});
        }
        assertThat(marks).hasSameSizeAs(facts.plane().points());
        for (Point point : facts.plane().points()) {
            double[] at = marks.get(point.model());
            assertThat(at[0])
                    .as("harm of " + point.model())
                    .isCloseTo(read(harms, point.harm().value()), within(0.02));
            assertThat(at[1])
                    .as("skill of " + point.model())
                    .isCloseTo(read(skills, point.skill().value()), within(0.02));
            Element bar = svg.select("g." + point.role() + " path.bar").first();
            if (point.role() != Role.other) {
                Matcher ends = Pattern.compile("M(\\S+) (\\S+)H(\\S+)M(\\S+) (\\S+)V(\\S+)")
                        .matcher(bar.attr("d"));
                assertThat(ends.matches()).isTrue();
                assertThat(Double.parseDouble(ends.group(1)))
                        .isCloseTo(read(harms, point.harm().lower()), within(0.02));
                assertThat(Double.parseDouble(ends.group(3)))
                        .isCloseTo(read(harms, point.harm().upper()), within(0.02));
                assertThat(List.of(Double.parseDouble(ends.group(5)), Double.parseDouble(ends.group(6))))
                        .usingComparatorForType(Comparator.comparingDouble(v -> Math.rint(v * 20)), Double.class)
                        .containsExactlyInAnyOrder(
                                read(skills, point.skill().lower()),
                                read(skills, point.skill().upper()));
            }
        }
        assertThat(svg.select("text.name")).isNotEmpty();
        for (Element name : svg.select("text.name")) {
            String model = name.attr("data-model");
            assertThat(name.text()).isEqualTo(model);
            double x = number(name, "x");
            double right = x + number(name, "textLength");
            double y = number(name, "y") - 4;
            Element tie = name.parent().select("path.tie").first();
            double[] own = marks.get(model);
            if (tie == null) {
                String nearest = marks.entrySet().stream()
                        .min(Comparator.comparingDouble(m -> Math.hypot(
                                Math.max(0, Math.max(x - m.getValue()[0], m.getValue()[0] - right)),
                                m.getValue()[1] - y)))
                        .orElseThrow()
                        .getKey();
                assertThat(nearest).isEqualTo(model);
            } else {
                assertThat(tie.attr("d")).startsWith("M" + Format.number(own[0]) + " " + Format.number(own[1]));
            }
        }
    }

    @Test
    void everyModulesColourIsItsCosine() throws IOException {
        ReportFacts facts = Outcome.ofDemo().layers(32).facts(dir);
        heat(facts, picture(facts, "cosine"), Module::cosine);
    }

    @Test
    void everyModulesColourIsItsEnergy() throws IOException {
        ReportFacts facts = Outcome.ofDemo().layers(4).facts(dir);
        heat(facts, picture(facts, "energy"), Module::energy);
    }

    private static void heat(ReportFacts facts, Element svg, Function<Module, Double> value) {
        // A cell's kind by the word at its height, its layer by the numbers below it.
        Map<String, String> shown = new HashMap<>();
        facts.modules()
                .modules()
                .forEach(m -> shown.put(m.kind().substring(m.kind().lastIndexOf('.') + 1), m.kind()));
        Map<Integer, Double> layers = new TreeMap<>();
        svg.select("text.layer").forEach(t -> layers.put(Integer.parseInt(t.text()), number(t, "x")));
        List<Integer> known = List.copyOf(layers.keySet());
        int first = known.get(0);
        int last = known.get(known.size() - 1);
        double width = (layers.get(last) - layers.get(first)) / (last - first);
        Map<String, Module> modules = new HashMap<>();
        facts.modules().modules().forEach(m -> modules.put(m.layer() + " " + m.kind(), m));
        double min = modules.values().stream().mapToDouble(value::apply).min().orElseThrow();
        double max = modules.values().stream().mapToDouble(value::apply).max().orElseThrow();
        assertThat(svg.select("rect.cell")).hasSize(modules.size());
        int marked = 0;
        for (Element cell : svg.select("rect.cell")) {
            double centre = number(cell, "x") + number(cell, "width") / 2;
            double middle = number(cell, "y") + number(cell, "height") / 2;
            int layer = (int) Math.round(first + (centre - layers.get(first)) / width);
            Element word = svg.select("text.kind").stream()
                    .min(Comparator.comparingDouble(t -> Math.abs(number(t, "y") - 4 - middle)))
                    .orElseThrow();
            String kind = word.text().replaceFirst(".*\\.", "");
            Module module = modules.remove(layer + " " + shown.get(kind));
            assertThat(module).as("layer " + layer + ", " + kind).isNotNull();
            assertThat(cell.select("title").text())
                    .startsWith("layer " + layer + ", " + module.kind())
                    .contains(String.format(java.util.Locale.ROOT, "%.4f", value.apply(module)));
            Matcher percent = Pattern.compile("color-mix\\(in srgb, var\\(--high\\) (\\S+)%, var\\(--low\\)\\)")
                    .matcher(cell.attr("fill"));
            assertThat(percent.matches()).isTrue();
            assertThat(Double.parseDouble(percent.group(1)))
                    .isCloseTo(100 * (value.apply(module) - min) / (max - min), within(0.01));
            boolean dot = svg.select("circle.selected").stream()
                    .anyMatch(c ->
                            Math.abs(number(c, "cx") - centre) < 0.02 && Math.abs(number(c, "cy") - middle) < 0.02);
            assertThat(dot).as(module.name()).isEqualTo(module.selected());
            marked += dot ? 1 : 0;
        }
        assertThat(modules).isEmpty();
        assertThat(svg.select("circle.selected")).hasSize(marked);
        assertThat(marked).isPositive();
    }

    @Test
    void theLossFallsWhereItFell() throws IOException {
        ReportFacts facts = Outcome.ofDemo().losses("2.0, 0.5, 1.0, 0.25").facts(dir);
        Element svg = picture(facts, "loss");
        Map<Double, Double> steps = axis(svg, "text.step", "x");
        Map<Double, Double> losses = axis(svg, "text.loss", "y");
        String[] points = svg.select("polyline").attr("points").split(" ");
        double[] expected = {2.0, 0.5, 1.0, 0.25};
        assertThat(points).hasSize(4);
        for (int i = 0; i < 4; i++) {
            String[] at = points[i].split(",");
            assertThat(Double.parseDouble(at[0])).isCloseTo(read(steps, i + 1), within(0.02));
            assertThat(Double.parseDouble(at[1])).isCloseTo(read(losses, expected[i]), within(0.02));
        }
        assertThat(losses.get(0.0)).isGreaterThan(losses.get(2.0));
    }

    @Test
    void aLongTrainingIsDrawnInMeans() throws IOException {
        StringBuilder losses = new StringBuilder();
        for (int i = 0; i < 5000; i++) {
            losses.append(i % 2 == 0 ? "1.0, " : "3.0, ");
        }
        ReportFacts facts = Outcome.ofDemo()
                .losses(losses.substring(0, losses.length() - 2))
                .facts(dir);
        assertThat(facts.training().steps()).isEqualTo(5000);
        assertThat(facts.training().points()).hasSizeLessThanOrEqualTo(300);
        assertThat(facts.training().points().stream()
                        .mapToDouble(TrainingLoss.Point::loss)
                        .average()
                        .orElseThrow())
                .isCloseTo(2, within(0.05));
    }

    /** Positions by value, of the labels that an axis has. */
    private static Map<Double, Double> axis(Element svg, String labels, String position) {
        Map<Double, Double> axis = new TreeMap<>();
        for (Element label : svg.select(labels)) {
            String text = label.text();
            double value = text.endsWith("%")
                    ? Double.parseDouble(text.replace("%", "").strip()) / 100
                    : Double.parseDouble(text);
            axis.put(value, number(label, position));
        }
        assertThat(axis).hasSizeGreaterThan(1);
        return axis;
    }

    private static double read(Map<Double, Double> axis, double value) {
        List<Double> values = List.copyOf(axis.keySet());
        double low = values.get(0);
        double high = values.get(values.size() - 1);
        return axis.get(low) + (axis.get(high) - axis.get(low)) * (value - low) / (high - low);
    }

    private static double y(Element svg, String model) {
        return Double.parseDouble(
                svg.select("g.mark[data-model=" + model + "]").attr("transform").replaceAll(".* |\\)", ""));
    }

    private static double number(Element element, String attribute) {
        return Double.parseDouble(element.attr(attribute));
    }
}
