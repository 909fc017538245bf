package io.safelora.standalone.cli;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.contract.Nearest;
import jakarta.validation.constraints.Pattern;
import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The fields of a record of the contract as options of a command, in kebab-case: the record declares names, types,
 * defaults, descriptions and ranges once, for job documents and for commands. An option that is not given has the job
 * document's default.
 */
final class RecordOptions {
    private final CommandSpec command;
    private final List<RecordComponent> fields;

    /**
     * Adds the options to a command.
     *
     * @param without fields that the command has no option for; fields that are records themselves have none either
     */
    RecordOptions(CommandSpec command, Class<? extends Record> type, Set<String> without) {
        this.command = command;
        fields = Arrays.stream(type.getRecordComponents())
                .filter(field ->
                        !without.contains(field.getName()) && !field.getType().isRecord())
                .toList();
        fields.forEach(field -> command.addOption(option(field)));
    }

    private static OptionSpec option(RecordComponent field) {
        OptionSpec.Builder option = OptionSpec.builder(name(field))
                .description(description(field))
                .paramLabel(isUri(field) ? "<directory>" : "<" + field.getName() + ">");
        if (field.getType() == List.class) {
            return option.type(List.class)
                    .auxiliaryTypes(String.class)
                    .splitRegex(",")
                    .build();
        }
        return option.type(field.getType().isEnum() ? String.class : field.getType())
                .build();
    }

    private static String name(RecordComponent field) {
        return "--" + field.getName().replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
    }

    private static String description(RecordComponent field) {
        JsonPropertyDescription description = field.getAccessor().getAnnotation(JsonPropertyDescription.class);
        JsonProperty property = field.getAccessor().getAnnotation(JsonProperty.class);
        String text = description == null ? "" : description.value();
        String end = property == null || property.defaultValue().isEmpty()
                ? ""
                : " (default " + property.defaultValue() + ")";
        // picocli formats descriptions.
        return (text + end).replace("%", "%%");
    }

    /** What was given, by the names that a job document has for it. */
    Map<String, Object> given() {
        Map<String, Object> given = new LinkedHashMap<>();
        for (RecordComponent field : fields) {
            String option = name(field);
            Object value = command.findOption(option).getValue();
            if (value != null) {
                given.put(option.substring(2).replace('-', '_'), value(field, option, value));
            }
        }
        return given;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Object value(RecordComponent field, String option, Object value) {
        if (field.getType().isEnum()) {
            return named(option, (String) value, (Class) field.getType());
        }
        return isUri(field) ? Path.of((String) value).toUri().toString() : value;
    }

    /** Commands work on local files: where a document has a URI, they take a path. */
    private static boolean isUri(RecordComponent field) {
        Pattern pattern = field.getAccessor().getAnnotation(Pattern.class);
        return pattern != null && pattern.regexp().equals(ArtifactRef.URI);
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
                .orElseThrow(() -> new InvalidInputException(option + ": must be one of " + String.join(", ", names)
                        + ", not \"" + value + "\"" + Nearest.hint(value, names)));
    }
}
