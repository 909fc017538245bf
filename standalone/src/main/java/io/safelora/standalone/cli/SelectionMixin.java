package io.safelora.standalone.cli;

import io.safelora.contract.JobDocument;
import io.safelora.contract.Json;
import io.safelora.contract.Nearest;
import io.safelora.contract.Options;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Repair;
import io.safelora.contract.SelectionOptions.Strategy;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import picocli.CommandLine.Option;

/** The selection options of a job, under the same names in kebab-case. Absent means the job document's default. */
final class SelectionMixin {
    @Option(names = "--strategy", description = "number (default), threshold, auto, energy, random, all")
    String strategy;

    @Option(names = "--number", description = "modules that strategies number and random choose (default 30)")
    Integer number;

    @Option(names = "--threshold", description = "cosine below which strategy threshold chooses (default 0.5)")
    Double threshold;

    @Option(names = "--share", description = "share of all modules' |V|_F^2 that strategy energy covers (default 0.5)")
    Double share;

    @Option(names = "--layers", description = "only modules of these layers: 8-19, or 0,2,4-7")
    String layers;

    @Option(names = "--modules", split = ",", description = "only modules whose name ends with one of these")
    List<String> modules;

    @Option(names = "--seed", description = "of strategy random (default 42)")
    Long seed;

    @Option(names = "--repair", description = "safe-lora (default), safe-merge, safety-vector, drop, scale")
    String repair;

    @Option(names = "--projector", description = "approximate (default), normalized, exact, subspace")
    String projector;

    @Option(names = "--energy", description = "share of |V|_F^2 that projector subspace keeps (default 0.9)")
    Double energy;

    @Option(names = "--blend", description = "between the update (0) and what the repair makes of it (1, default)")
    Double blend;

    @Option(names = "--scale", description = "repair scale: what updates are multiplied by (default 0.5)")
    Double scale;

    @Option(names = "--gamma", description = "repair safety-vector: what V is multiplied by (default 1)")
    Double gamma;

    @Option(names = "--rank", description = "repair safety-vector: singular triplets of V to add (default 16)")
    Integer rank;

    @Option(names = "--safety-adapter", description = "repair safe-merge: a PEFT adapter trained on safety data")
    String safetyAdapter;

    SelectionOptions options() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("strategy", named("--strategy", strategy, Strategy.class));
        fields.put("number", number);
        fields.put("threshold", threshold);
        fields.put("share", share);
        fields.put("layers", layers);
        fields.put("modules", modules);
        fields.put("seed", seed);
        fields.put("repair", named("--repair", repair, Repair.class));
        fields.put("projector", named("--projector", projector, Projector.class));
        fields.put("energy", energy);
        fields.put("blend", blend);
        fields.put("scale", scale);
        fields.put("gamma", gamma);
        fields.put("rank", rank);
        fields.put(
                "safety_adapter",
                safetyAdapter == null ? null : Path.of(safetyAdapter).toUri().toString());
        fields.values().removeIf(Objects::isNull); // Absent means the default; null is no number.
        return JobDocument.checked(Options.read(fields, SelectionOptions.class));
    }

    /** By the name that a job document has for it, with - or _. */
    static <E extends Enum<E>> String named(String option, String value, Class<E> type) {
        if (value == null) {
            return null;
        }
        String name = value.toLowerCase(Locale.ROOT).replace('-', '_');
        List<String> names = Arrays.stream(type.getEnumConstants())
                .map(e -> Json.MAPPER.convertValue(e, String.class))
                .toList();
        return names.stream()
                .filter(e -> e.replace('-', '_').equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(option + ": must be one of " + String.join(", ", names)
                        + ", not \"" + value + "\"" + Nearest.hint(value, names)));
    }
}
