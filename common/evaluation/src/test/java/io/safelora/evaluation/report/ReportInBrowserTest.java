package io.safelora.evaluation.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.evaluation.Outcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The report as a browser shows it. Skipped where there is none; {@code -Dreport.browser=PATH} names one, and
 * {@code -Dreport.screenshots=FOLDER} keeps what it showed.
 */
class ReportInBrowserTest {
    private static final int PHONE = 390;
    private static final int DESK = 1280;

    @TempDir
    static Path dir;

    private static Browser browser;
    private static Path demo;
    private static Path large;

    @BeforeAll
    static void start() throws IOException {
        Optional<Path> program = Browser.find();
        assumeTrue(
                program.isPresent(),
                "there is no Chromium, Chrome or Edge on the PATH; -Dreport.browser=PATH names one");
        browser = new Browser(program.get());
        demo = write("demo", ofDemo());
        large = write("large", large());
    }

    @AfterAll
    static void stop() throws IOException {
        if (browser != null) {
            browser.close();
        }
    }

    private static Outcome ofDemo() {
        return Outcome.ofDemo()
                .secondJudge()
                .warning(
                        "the projector shrinks the selected updates to 0.053 of their norm (median): this is nearly the"
                                + " same as dropping them")
                .origin("aligned, digest", "98f6bcd4621d373cade4e832627b4f698f6bcd4621d373cade4e832627b4f6")
                .origin("alignment, sha256", "d373cade4e832627b4f698f6bcd4621d373cade4e832627b4f698f6bcd4621");
    }

    /** A sweep of 40 repairs of a model of 32 layers that talks without end and without blanks. */
    private static Outcome large() {
        Outcome outcome =
                new Outcome().layers(32).secondJudge().model("aligned", 88, 0).model("fine-tuned", 182, 64);
        for (int i = 0; i < 40; i++) {
            outcome.model("safe-lora number=" + (10 + i) + " projector=approximate", 100 + 2 * i, Math.max(0, i - 12));
        }
        for (int i = 0; i < 30; i++) {
            outcome.warning(
                    i + " of 64 answers of fine-tuned to harmfulness are empty; they count neither as harmful nor as"
                            + " refused");
        }
        return outcome.text("word ".repeat(200) + "x".repeat(3000) + "<b>").sweep();
    }

    private static Path write(String name, Outcome outcome) throws IOException {
        Path folder = Files.createDirectories(dir.resolve(name));
        Report.write(folder, outcome.facts(folder));
        return folder.resolve(Report.HTML);
    }

    private static void show(Path file, int width, String scheme) throws IOException {
        browser.show(width, 844, scheme, "screen");
        browser.open(file);
        String folder = System.getProperty("report.screenshots");
        if (folder != null) {
            Files.write(
                    Files.createDirectories(Path.of(folder))
                            .resolve(file.getParent().getFileName() + "-" + width + "-" + scheme + ".png"),
                    browser.screenshot());
        }
    }

    @Test
    void nothingIsWiderThanAPhone() throws IOException {
        for (Path file : List.of(demo, large)) {
            for (int width : new int[] {320, PHONE, DESK}) {
                show(file, width, "light");
                browser.eval("document.querySelectorAll('details').forEach(d => d.open = true)");
                assertThat(browser.eval("document.documentElement.scrollWidth").asInt())
                        .as(file + " at " + width)
                        .isLessThanOrEqualTo(width);
                // What scrolls by itself may be wider inside.
                assertThat(browser.eval("[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')"
                                + " && !e.closest('svg svg, svg *') && "
                                + "e.getBoundingClientRect().right > innerWidth + 1)"
                                + ".map(e => e.outerHTML.slice(0, 200))"))
                        .isEmpty();
            }
        }
    }

    @Test
    void itIsNoLongerThanAReaderScrolls() throws IOException {
        for (Path file : List.of(demo, large)) {
            show(file, PHONE, "light");
            assertThat(browser.eval("document.documentElement.scrollHeight").asInt())
                    .as(file.toString())
                    .isLessThan(6000);
        }
    }

    @Test
    void noWordsOfAPictureCoverEachOtherOrAMark() throws IOException {
        for (Path file : List.of(demo, large)) {
            for (int width : new int[] {PHONE, DESK}) {
                show(file, width, "light");
                int pictures = browser.eval("document.querySelectorAll('svg[role=img]').length")
                        .asInt();
                assertThat(pictures).isEqualTo(4);
                for (int i = 0; i < pictures; i++) {
                    String svg = "document.querySelectorAll('svg[role=img]')[" + i + "]";
                    List<double[]> words = boxes(svg, "text");
                    List<double[]> marks = boxes(svg, "g.mark");
                    double[] frame = boxes("document", "svg[role=img]").get(i);
                    for (int a = 0; a < words.size(); a++) {
                        for (int b = 0; b < a; b++) {
                            assertThat(overlap(words.get(a), words.get(b)))
                                    .as(file + ", picture " + i + ": words " + a + " and " + b)
                                    .isFalse();
                        }
                        assertThat(words.get(a)[0]).isGreaterThanOrEqualTo(frame[0] - 1);
                        assertThat(words.get(a)[2]).isLessThanOrEqualTo(frame[2] + 1);
                    }
                    for (double[] name : boxes(svg, "text.name")) {
                        assertThat(marks).noneMatch(mark -> overlap(name, mark));
                    }
                }
            }
        }
    }

    @Test
    void theBrowserHasNothingToComplainOf() throws IOException {
        for (Path file : List.of(demo, large, write("hostile", hostile()))) {
            show(file, DESK, "light");
            assertThat(browser.complaints()).isEmpty();
            assertThat(browser.eval("document.title").asText()).isNotEqualTo("hacked");
            // The style sheet is the one that the policy allows.
            assertThat(browser.eval("getComputedStyle(document.querySelector('.verdict')).borderLeftWidth")
                            .asText())
                    .isEqualTo("6px");
        }
    }

    private static Outcome hostile() {
        return Outcome.ofDemo()
                .text("</style></title></svg><script>document.title = 'hacked'; console.log('hacked')</script>"
                        + "<img src=http://localhost:1/x "
                        + "onerror=\"document.title='hacked'\"><style>@import "
                        + "'http://localhost:1/'");
    }

    @Test
    void darkAndLightDiffer() throws IOException {
        List<String> seen = new ArrayList<>();
        for (String scheme : List.of("light", "dark")) {
            show(demo, PHONE, scheme);
            seen.add(browser.eval("getComputedStyle(document.body).backgroundColor")
                            .asText()
                    + browser.eval("getComputedStyle(document.querySelector('rect.cell')).fill")
                            .asText()
                    + browser.eval("getComputedStyle(document.querySelector('text.name')).fill")
                            .asText());
        }
        assertThat(seen.get(0)).startsWith("rgb(255, 255, 255)");
        assertThat(seen.get(1)).startsWith("rgb(13, 17, 23)");
        // Cells of different values have different colours in both.
        for (String scheme : List.of("light", "dark")) {
            show(demo, PHONE, scheme);
            assertThat(browser.eval("new Set([...document.querySelectorAll('svg[aria-labelledby^=cosine] rect.cell')]"
                                    + ".map(c => getComputedStyle(c).fill)).size")
                            .asInt())
                    .isGreaterThan(10);
        }
    }

    @Test
    void theProvenanceIsFoldedAndReadableOnAPhone() throws IOException {
        show(demo, PHONE, "light");
        String rows = "[...document.querySelectorAll('#provenance dd')]";
        assertThat(browser.eval(rows
                                + ".some(e => e.checkVisibility({contentVisibilityAuto: true}) && e.offsetHeight > 0)"
                                + " && document.querySelector('#provenance').open")
                        .asBoolean())
                .isFalse();
        browser.eval("document.querySelector('#provenance summary').focus()");
        browser.press("Enter", 13, "\r");
        assertThat(browser.eval("document.querySelector('#provenance').open").asBoolean())
                .as("opened by the keyboard")
                .isTrue();
        assertThat(browser.eval(rows + ".length").asInt()).isGreaterThan(10);
        assertThat(browser.eval(rows + ".every(e => e.offsetWidth > 200 && e.offsetHeight > 10)")
                        .asBoolean())
                .isTrue();
        // A value of a few words takes a line or two, not one a letter.
        assertThat(browser.eval(rows + ".every(e => e.offsetHeight < 40 + e.textContent.length)")
                        .asBoolean())
                .isTrue();
    }

    @Test
    void theKeyboardReachesWhatFoldsAndScrolls() throws IOException {
        show(demo, PHONE, "light");
        int stops = browser.eval("[...document.querySelectorAll('summary, "
                        + "[tabindex=\"0\"]')].filter(e => e.checkVisibility()).length")
                .asInt();
        List<String> reached = new ArrayList<>();
        for (int i = 0; i < stops; i++) {
            browser.press("Tab", 9, "");
            reached.add(browser.eval("document.activeElement.tagName + document.activeElement.textContent.slice(0, 60)")
                    .asText());
            assertThat(browser.eval("getComputedStyle(document.activeElement).outlineStyle")
                            .asText())
                    .isEqualTo("solid");
        }
        assertThat(reached).anyMatch(e -> e.startsWith("SUMMARY") && e.contains("Inputs, digests"));
        assertThat(reached).anyMatch(e -> e.startsWith("DD"));
    }

    @Test
    void onPaperWhatIsFoldedIsThereInBlackOnWhite() throws IOException {
        show(demo, DESK, "dark");
        browser.show(800, 1100, "dark", "print");
        JsonNode seen = browser.eval("[...document.querySelectorAll('#provenance dd')].map(e => e.checkVisibility())");
        assertThat(seen).isNotEmpty().allMatch(JsonNode::asBoolean);
        assertThat(browser.eval("getComputedStyle(document.body).backgroundColor")
                        .asText())
                .isEqualTo("rgb(255, 255, 255)");
        assertThat(browser.eval("[...document.querySelectorAll('.answers dd')].every(e => "
                                + "e.scrollHeight <= e.clientHeight + 1)")
                        .asBoolean())
                .as("answers are not cut")
                .isTrue();
        String pdf = new String(browser.pdf(), StandardCharsets.ISO_8859_1);
        assertThat(pdf).startsWith("%PDF-");
        assertThat(Pattern.compile("/Type\\s*/Page\\b").matcher(pdf).results().count())
                .isBetween(3L, 15L);
    }

    /** left, top, right, bottom */
    private static List<double[]> boxes(String root, String selector) {
        List<double[]> boxes = new ArrayList<>();
        for (JsonNode box : browser.eval("[..." + root + ".querySelectorAll('" + selector
                + "')].map(e => e.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])")) {
            boxes.add(new double[] {
                box.get(0).asDouble(),
                box.get(1).asDouble(),
                box.get(2).asDouble(),
                box.get(3).asDouble()
            });
        }
        return boxes;
    }

    /** By more than the rounding of a pixel. */
    private static boolean overlap(double[] a, double[] b) {
        return Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 0.5 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 0.5;
    }
}
