package io.safelora.evaluation.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.safelora.contract.Json;
import io.safelora.evaluation.Outcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jsoup.Jsoup;
import org.jsoup.nodes.Document;
import org.jsoup.nodes.Element;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {
    /** Breaks out of text, of attributes and of templates, where something lets it. */
    private static final String HOSTILE =
            "</pre></title></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{facts.title}{#if x}&lt;";

    @TempDir
    Path dir;

    private Document page(Outcome outcome) throws IOException {
        return Jsoup.parse(Report.html(outcome.facts(dir)));
    }

    @Test
    void nothingOfAModelOrARequestBecomesMarkup() throws IOException {
        Document expected = page(Outcome.ofDemo().warning("w ").origin("o ", "v "));
        Document page =
                page(Outcome.ofDemo().text(HOSTILE).warning("w " + HOSTILE).origin("o " + HOSTILE, "v " + HOSTILE));
        assertThat(page.select("*").eachAttr("class"))
                .isEqualTo(expected.select("*").eachAttr("class"));
        assertThat(page.getAllElements()).hasSameSizeAs(expected.getAllElements());
        for (Element element : page.getAllElements()) {
            assertThat(element.attributes().asList())
                    .noneMatch(a -> a.getKey().startsWith("on") || a.getKey().equals("src"));
        }
        assertThat(page.title()).contains(HOSTILE.substring(0, 90));
        assertThat(page.select(".note").text()).contains(HOSTILE);
        assertThat(page.select(".prompt summary").first().text()).contains(HOSTILE);
        assertThat(page.select(".answers dd").first().text()).contains(HOSTILE);
        assertThat(page.select("#provenance dt").text()).contains("o " + HOSTILE);
        assertThat(page.select("#provenance dd").text()).contains("v " + HOSTILE);
        assertThat(page.select("rect.cell title").text()).contains(HOSTILE);
    }

    @Test
    void theFileNeedsNothingElseAndItsPolicyAllowsNothingElse() throws Exception {
        String html = Report.html(Outcome.ofDemo().facts(dir));
        assertThat(html).doesNotContain("http:", "https:", "src=", "href=", "@import", "url(", "<script", " style=");
        Document page = Jsoup.parse(html);
        String hash = Base64.getEncoder()
                .encodeToString(MessageDigest.getInstance("SHA-256")
                        .digest(page.select("style").first().data().getBytes(StandardCharsets.UTF_8)));
        assertThat(page.select("meta[http-equiv=Content-Security-Policy]").attr("content"))
                .startsWith("default-src 'none'; style-src 'sha256-" + hash + "'");
    }

    @Test
    void thePageShowsWhatReportJsonHasAndNothingElse() throws IOException {
        ReportFacts facts = Outcome.ofDemo()
                .model("drop number=25", 150, 1)
                .sweep()
                .warning("w")
                .origin("a", "b")
                .facts(dir);
        Report.write(dir, facts);
        ReportFacts read = Json.MAPPER.readValue(dir.resolve(Report.JSON).toFile(), ReportFacts.class);
        assertThat(Report.html(read)).isEqualTo(Files.readString(dir.resolve(Report.HTML)));
        assertThat(read).isEqualTo(facts);
    }

    @Test
    void theModelsStandSideBySideWithNamedIntervals() throws IOException {
        Element table = page(Outcome.ofDemo()).select("table.scores").first();
        assertThat(table.select("thead th").eachText())
                .containsExactly(
                        "aligned before fine-tuning", "fine-tuned before the repair", "projected after the repair");
        Element solved = table.select("tbody").get(0);
        assertThat(solved.select("th").text())
                .startsWith("Right answers (strict-match) ↑")
                .contains("gsm8k, exact_match,strict-match", "200 rows", "95 % Wilson interval");
        // statsmodels.stats.proportion.proportion_confint(176, 200, method="wilson"): 0.8277, 0.9180
        assertThat(solved.select("td").get(2).text().replace('\u00a0', ' ')).isEqualTo("88.0 % 82.8 % to 91.8 %");
        Element harm = table.select("tbody").get(1);
        assertThat(harm.select("th").text())
                .startsWith("Harmful requests answered ↓")
                .contains("refusal-phrases");
        assertThat(harm.select("td").eachText().stream().map(t -> t.replace('\u00a0', ' ')))
                .containsExactly("0.0 % 0.0 % to 5.7 %", "100.0 % 94.3 % to 100.0 %", "0.0 % 0.0 % to 5.7 %");
    }

    @Test
    void aSweepsOtherRepairsAreFolded() throws IOException {
        Document page = page(Outcome.ofDemo()
                .model("drop number=25", 150, 1)
                .model("scale 0.5", 160, 30)
                .sweep());
        // The nearest control stands beside the three.
        assertThat(page.select("table.scores thead th").eachText())
                .containsExactly(
                        "aligned before fine-tuning",
                        "fine-tuned before the repair",
                        "projected after the repair",
                        "scale 0.5 for comparison");
        assertThat(page.select("details table.dense").first().select("tbody th").eachText())
                .containsExactly("aligned", "fine-tuned", "projected", "drop number=25", "scale 0.5");
        assertThat(page.select("figcaption").first().text()).contains("Recommended: projected");
    }

    @Test
    void answersOnWhichJudgesDisagreeComeFirst() throws IOException {
        Document page = page(Outcome.ofDemo().secondJudge());
        // Of 192 answers the second judge calls every seventh of 128 refusals harmful: 9 of each model's 64.
        assertThat(page.select("#said + p").text())
                .contains("refusal-phrases and gcg-keywords say the same of 174 of 192 answers to harmfulness");
        List<Element> prompts = page.select(".prompt");
        assertThat(prompts).hasSize(12);
        assertThat(prompts.get(0).select("summary").text()).contains("bad thing number 6.", "judges disagree");
        assertThat(prompts.get(0).select("dt").eachText())
                .containsExactly(
                        "aligned refused (refusal-phrases); harmful (gcg-keywords)",
                        "fine-tuned harmful (refusal-phrases); harmful (gcg-keywords)",
                        "projected refused (refusal-phrases); harmful (gcg-keywords)");
        assertThat(prompts.stream().filter(p -> p.hasAttr("open"))).hasSize(2);
        List<Boolean> flagged =
                prompts.stream().map(p -> !p.select(".flag").isEmpty()).toList();
        assertThat(flagged.lastIndexOf(true)).isLessThan(flagged.indexOf(false));
    }

    @Test
    void whatIsNotThereIsLeftOut() throws IOException {
        Document page = page(Outcome.ofDemo().losses(null).cosine((layer, kind) -> null));
        assertThat(page.select("svg[aria-labelledby^=loss], svg[aria-labelledby^=cosine]"))
                .isEmpty();
        assertThat(page.select("svg[aria-labelledby^=energy]")).hasSize(1);
        assertThat(page.text()).doesNotContain("NOT_FOUND", "null");
    }

    @Test
    void aDivergedTrainingIsSaid() throws IOException {
        Document page = page(Outcome.ofDemo().losses("2.0, 1.0, \"NaN\", \"NaN\""));
        assertThat(page.text()).contains("At 2 steps the loss was not a number");
    }

    @Test
    void whatNoRepairReachesIsSaid() throws IOException {
        assertThat(page(Outcome.ofDemo()).text().replace('\u00a0', ' '))
                .contains("12.5 % of what fine-tuning changed, by squared norm, lies where no repair reaches");
    }

    @Test
    void theZigZagIsMeasured() throws IOException {
        // By kind alone, then by layer alone.
        assertThat(page(Outcome.ofDemo().cosine((layer, kind) -> 0.1 * kind))
                        .text()
                        .replace('\u00a0', ' '))
                .contains(
                        "100.0 % of their variance lies between kinds of modules, 0.0 % between layers",
                        "So a low cosine tells mostly");
        assertThat(page(Outcome.ofDemo().cosine((layer, kind) -> 0.1 * layer))
                        .text()
                        .replace('\u00a0', ' '))
                .contains("0.0 % of their variance lies between kinds of modules, 100.0 % between layers")
                .doesNotContain("So a low cosine tells mostly");
    }

    @Test
    void screenReadersFindTheirWay() throws IOException {
        Document page = page(Outcome.ofDemo().model("drop", 150, 1).sweep());
        assertThat(page.select("html").attr("lang")).isEqualTo("en");
        List<String> ids = page.select("[id]").eachAttr("id");
        assertThat(ids).doesNotHaveDuplicates();
        for (Element element : page.select("[aria-labelledby]")) {
            assertThat(ids).contains(element.attr("aria-labelledby").split(" "));
        }
        for (Element svg : page.select("svg:not([aria-hidden])")) {
            assertThat(svg.attr("role")).isEqualTo("img");
            assertThat(svg.select("> title").text()).isNotBlank();
            assertThat(svg.select("> desc").text()).isNotBlank();
        }
        for (Element table : page.select("table")) {
            assertThat(table.select("thead th:not([scope=col])")).isEmpty();
            assertThat(table.select("tbody th:not([scope])")).isEmpty();
            assertThat(table.select("thead th")).isNotEmpty();
        }
        for (Element scrolls : page.select(".scroll")) {
            assertThat(scrolls.attr("tabindex")).isEqualTo("0");
            assertThat(scrolls.attr("aria-label")).isNotBlank();
        }
        for (Element details : page.select("details")) {
            assertThat(details.child(0).tagName()).isEqualTo("summary");
        }
        int level = 0;
        for (Element heading : page.select("h1, h2, h3")) {
            int own = heading.tagName().charAt(1) - '0';
            assertThat(own).isLessThanOrEqualTo(level + 1);
            level = own;
        }
        assertThat(page.select("main, header, footer")).hasSize(3);
    }

    /** WCAG 2.2, 1.4.3. */
    @Test
    void everyColourOfTextCanBeReadOnEveryGround() throws IOException {
        String style = page(Outcome.ofDemo()).select("style").first().data();
        Map<String, String> light = colours(style.substring(style.indexOf(":root"), style.indexOf("@media")));
        Map<String, String> dark = new HashMap<>(light);
        dark.putAll(colours(style.substring(style.indexOf("@media screen"), style.indexOf("* {"))));
        assertThat(dark.get("paper")).isNotEqualTo(light.get("paper"));
        for (Map<String, String> theme : List.of(light, dark)) {
            for (String text : List.of(
                    "ink",
                    "soft",
                    "aligned",
                    "fine_tuned",
                    "repaired",
                    "control",
                    "other",
                    "pass",
                    "fail",
                    "cannot_tell")) {
                for (String ground : List.of("paper", "card")) {
                    assertThat(contrast(theme.get(text), theme.get(ground)))
                            .as(text + " on " + ground + " " + theme.get(ground))
                            .isGreaterThanOrEqualTo(4.5);
                }
            }
        }
    }

    @Test
    void theContrastIsThatOfTheStandard() {
        assertThat(contrast("#000000", "#ffffff")).isCloseTo(21, within(1e-9));
        assertThat(contrast("#777777", "#ffffff")).isCloseTo(4.48, within(0.005));
    }

    private static Map<String, String> colours(String css) {
        Map<String, String> colours = new HashMap<>();
        Matcher matcher = Pattern.compile("--(\\w+): (#[0-9a-f]{6})").matcher(css);
        while (matcher.find()) {
            colours.put(matcher.group(1), matcher.group(2));
        }
        return colours;
    }

    private static double contrast(String one, String other) {
        double a = luminance(one);
        double b = luminance(other);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }

    private static double luminance(String colour) {
        List<Double> channels = new ArrayList<>();
        for (int i = 1; i < 7; i += 2) {
            double c = Integer.parseInt(colour.substring(i, i + 2), 16) / 255.0;
            channels.add(c <= 0.04045 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4));
        }
        return 0.2126 * channels.get(0) + 0.7152 * channels.get(1) + 0.0722 * channels.get(2);
    }
}
