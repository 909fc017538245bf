package io.safelora.standalone.cli;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BigIntegerNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.Json;
import io.safelora.contract.Nearest;
import io.safelora.contract.Options;
import io.safelora.contract.TargetModules;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/**
 * The fields of a record of the contract as options of a command, in kebab-case: the record declares names, types,
 * defaults, descriptions and ranges once, for job documents and for commands. An option that is not given has the job
 * document's default.
 *
 * <p>A field without a default that must not be null is a required option; a boolean is a switch with its opposite
 * ({@code --shuffle}, {@code --no-shuffle}); a list's elements are separated by commas; a mapping is JSON; and where a
 * document has a URI, a command takes a path.
 */
final class RecordOptions {
    private final CommandSpec command;
    private final List<RecordComponent> fields;

    /**
     * Adds the options to a command.
     *
     * @param without fields that the command has no option for; fields that are mappings of fields have none either
     */
    RecordOptions(CommandSpec command, Class<? extends Record> type, Set<String> without) {
        this.command = command;
        fields = Arrays.stream(type.getRecordComponents())
                .filter(field -> !without.contains(field.getName()) && isOption(field.getType()))
                .toList();
        fields.forEach(field -> command.addOption(option(field)));
    }

    private static boolean isOption(Class<?> type) {
        return !type.isRecord() || type == TargetModules.class;
    }

    private static OptionSpec option(RecordComponent field) {
        OptionSpec.Builder option = OptionSpec.builder(name(field))
                .description(description(field))
                .required(field.getAccessor().isAnnotationPresent(NotNull.class))
                .paramLabel(label(field));
        if (field.getType() == Boolean.class) {
            option.type(Boolean.class).arity("0..1").fallbackValue("true").negatable(true);
        } else if (field.getType() == List.class) {
            option.type(List.class).auxiliaryTypes(String.class).splitRegex(",");
        } else {
            option.type(String.class);
        }
        return option.build();
    }

    private static String name(RecordComponent field) {
        return Options.option(field(field));
    }

    /** The name that a job document has for a field. */
    private static String field(RecordComponent field) {
        return field.getName().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private static String label(RecordComponent field) {
        if (field.getType() == Map.class) {
            return "JSON";
        }
        if (field.getType() == Boolean.class) {
            return "true|false";
        }
        return isUri(field) ? "<path>" : "<" + field.getName() + ">";
    }

    /** The record's description, and behind it what a job document's schema says beside it. */
    private static String description(RecordComponent field) {
        JsonPropertyDescription description = field.getAccessor().getAnnotation(JsonPropertyDescription.class);
        JsonProperty property = field.getAccessor().getAnnotation(JsonProperty.class);
        String text = description == null ? "" : description.value();
        List<String> more = new ArrayList<>();
        if (element(field) instanceof Class<?> type && type.isEnum()) {
            List<String> names = names(type);
            if (!names.stream().allMatch(text::contains)) {
                more.add(String.join(", ", names));
            }
        }
        if (field.getType() == TargetModules.class) {
            more.add("separated by commas");
        }
        if (property != null && !property.defaultValue().isEmpty()) {
            more.add("default " + property.defaultValue().replaceAll("[\\[\\]\"]", ""));
        }
        String end = more.isEmpty() ? "" : " (" + String.join("; ", more) + ")";
        // picocli formats descriptions.
        return (text + end).replace("%", "%%");
    }

    /** The path that was given for a field that is a URI in a job document; null if none was. */
    Path path(String name) {
        String text = option(name).getValue();
        return text == null ? null : Path.of(text);
    }

    private OptionSpec option(String name) {
        return command.findOption(Options.option(name));
    }

    /**
     * What was given, as a job document has it.
     *
     * @throws ParameterException naming the option, if a value is not of its field's type
     */
    ObjectNode given() {
        ObjectNode given = Json.MAPPER.createObjectNode();
        for (RecordComponent field : fields) {
            Object value = option(field(field)).getValue();
            if (value instanceof Boolean bool) {
                given.put(field(field), bool);
            } else if (value instanceof List<?> texts) {
                ArrayNode elements = given.putArray(field(field));
                texts.forEach(text -> elements.add(value(field, text.toString().strip())));
            } else if (value != null) {
                given.set(field(field), value(field, (String) value));
            }
        }
        return given;
    }

    private JsonNode value(RecordComponent field, String text) {
        Type type = element(field);
        if (type instanceof Class<?> enumerated && enumerated.isEnum()) {
            return new TextNode(named(field, text, names(enumerated)));
        }
        if (type == Integer.class || type == Long.class) {
            try {
                return BigIntegerNode.valueOf(new BigInteger(text));
            } catch (NumberFormatException e) {
                throw wrong(field, "must be a whole number", text);
            }
        }
        if (type == Double.class) {
            try {
                return DoubleNode.valueOf(new BigDecimal(text).doubleValue());
            } catch (NumberFormatException e) {
                throw wrong(field, "must be a number", text);
            }
        }
        if (field.getType() == TargetModules.class) {
            return Json.MAPPER.valueToTree(TargetModules.typed(text));
        }
        if (field.getType() == Map.class) {
            return json(field, text);
        }
        return new TextNode(isUri(field) ? Path.of(text).toUri().toString() : text);
    }

    private JsonNode json(RecordComponent field, String text) {
        try {
            return Json.MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new ParameterException(
                    command.commandLine(),
                    name(field) + ": not JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse("") + "; give an object in quotes");
        }
    }

    /** The type of a field, of a list that of its elements. */
    private static Type element(RecordComponent field) {
        return field.getType() == List.class
                ? ((ParameterizedType) field.getGenericType()).getActualTypeArguments()[0]
                : field.getType();
    }

    private static boolean isUri(RecordComponent field) {
        Pattern pattern = field.getAccessor().getAnnotation(Pattern.class);
        return pattern != null && pattern.regexp().equals(ArtifactRef.URI);
    }

    /** The names that job documents have for an enumeration's values. */
    private static List<String> names(Class<?> enumerated) {
        return Arrays.stream(enumerated.getEnumConstants())
                .map(value -> Json.MAPPER.convertValue(value, String.class))
                .toList();
    }

    /** The one of {@code names} that was typed, with - or _ and in whatever case. */
    private String named(RecordComponent field, String typed, List<String> names) {
        String name = typed.toLowerCase(Locale.ROOT).replace('-', '_');
        return names.stream()
                .filter(e -> e.replace('-', '_').equals(name))
                .findFirst()
                .orElseThrow(() -> new ParameterException(
                        command.commandLine(),
                        name(field) + ": must be one of " + String.join(", ", names) + ", not \"" + typed + "\""
                                + Nearest.hint(typed, names)));
    }

    private ParameterException wrong(RecordComponent field, String why, String typed) {
        return new ParameterException(command.commandLine(), name(field) + ": " + why + ", not \"" + typed + "\"");
    }
}
