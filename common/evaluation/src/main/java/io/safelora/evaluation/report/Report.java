package io.safelora.evaluation.report;

import io.quarkus.qute.Engine;
import io.quarkus.qute.EngineBuilder;
import io.quarkus.qute.HtmlEscaper;
import io.quarkus.qute.RawString;
import io.quarkus.qute.ReflectionValueResolver;
import io.quarkus.qute.Template;
import io.quarkus.qute.ValueResolver;
import io.quarkus.qute.Variant;
import io.safelora.contract.Json;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.List;
import java.util.function.Function;

/**
 * report.html: one page without scripts and outside resources, which its own Content-Security-Policy rules out.
 * Everything in it is escaped: answers are whatever a model says.
 */
public final class Report {
    public static final String HTML = "report.html";
    public static final String JSON = "report.json";

    private static final String STYLE = resource("report.css");
    private static final Template PAGE = page();

    private Report() {}

    /** Writes report.html and report.json into a folder. */
    public static void write(Path folder, ReportFacts facts) throws IOException {
        Files.write(folder.resolve(JSON), Json.pretty(facts));
        Files.writeString(folder.resolve(HTML), html(facts));
    }

    /** The page. */
    public static String html(ReportFacts facts) {
        Modules modules = facts.modules();
        return PAGE.data("facts", facts)
                .data("style", new RawString(STYLE))
                .data("styleHash", sha256(STYLE))
                .data("plane", PlanePicture.of(facts.plane()))
                .data("loss", LossPicture.of(facts.training()))
                .data("cosine", HeatMap.of("cosine", modules, Modules.Module::cosine, modules.cosine(), "cosine"))
                .data("energy", HeatMap.of("energy", modules, Modules.Module::energy, modules.energy(), "energy"))
                .render();
    }

    private static Template page() {
        Variant html = Variant.forContentType(Variant.TEXT_HTML);
        EngineBuilder builder = Engine.builder()
                .addDefaults()
                .addValueResolver(new ReflectionValueResolver())
                .addResultMapper(new HtmlEscaper(List.of(Variant.TEXT_HTML)))
                .addValueResolver(format("percent", Format::share))
                .addValueResolver(format("decimal", Format::decimal))
                .addValueResolver(format("signedPoints", d -> Format.signed(d) + Format.points(Math.abs(d))))
                .addValueResolver(format("signedDecimal", d -> Format.signed(d) + Format.decimal(Math.abs(d))))
                .addValueResolver(format("px", Format::number));
        Engine engine = builder.build();
        for (String part : List.of("heatmap", "prompt")) {
            engine.putTemplate(part, engine.parse(resource(part + ".html"), html));
        }
        return engine.parse(resource(HTML), html);
    }

    private static ValueResolver format(String name, Function<Double, String> format) {
        return ValueResolver.builder()
                .applyToBaseClass(Double.class)
                .applyToName(name)
                .resolveSync(context -> format.apply((Double) context.getBase()))
                .build();
    }

    /** As Content-Security-Policy has it. */
    private static String sha256(String text) {
        try {
            return Base64.getEncoder()
                    .encodeToString(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String resource(String name) {
        try (InputStream in = Report.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new ExceptionInInitializerError(e);
        }
    }
}
