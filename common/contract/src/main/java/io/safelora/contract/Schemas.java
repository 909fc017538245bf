package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.victools.jsonschema.generator.CustomDefinition;
import com.github.victools.jsonschema.generator.Option;
import com.github.victools.jsonschema.generator.OptionPreset;
import com.github.victools.jsonschema.generator.SchemaGenerator;
import com.github.victools.jsonschema.generator.SchemaGeneratorConfigBuilder;
import com.github.victools.jsonschema.generator.SchemaVersion;
import com.github.victools.jsonschema.module.jackson.JacksonModule;
import com.github.victools.jsonschema.module.jackson.JacksonOption;
import com.github.victools.jsonschema.module.jakarta.validation.JakartaValidationModule;
import com.github.victools.jsonschema.module.jakarta.validation.JakartaValidationOption;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.util.Map;

/** The JSON Schemas (2020-12) of the contract's records. The records are the source; docs/schemas holds the result. */
public final class Schemas {
    private static final SnakeCaseStrategy SNAKE_CASE = new SnakeCaseStrategy();
    private static final SchemaGenerator GENERATOR = generator();

    private Schemas() {}

    /** The schema of one record. Unknown properties are errors. */
    public static ObjectNode of(Class<?> type) {
        try {
            // The generator leaves defaults as opaque objects; read back they are numbers, texts and lists.
            return (ObjectNode)
                    Json.MAPPER.readTree(GENERATOR.generateSchema(type).toString());
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static SchemaGenerator generator() {
        SchemaGeneratorConfigBuilder config = new SchemaGeneratorConfigBuilder(
                        Json.MAPPER, SchemaVersion.DRAFT_2020_12, OptionPreset.PLAIN_JSON)
                .with(new JacksonModule(
                        JacksonOption.RESPECT_JSONPROPERTY_ORDER, JacksonOption.FLATTENED_ENUMS_FROM_JSONPROPERTY))
                .with(new JakartaValidationModule(
                        JakartaValidationOption.NOT_NULLABLE_FIELD_IS_REQUIRED,
                        JakartaValidationOption.INCLUDE_PATTERN_EXPRESSIONS))
                .with(Option.FORBIDDEN_ADDITIONAL_PROPERTIES_BY_DEFAULT)
                .with(Option.DEFINITIONS_FOR_ALL_OBJECTS)
                .with(Option.EXTRA_OPEN_API_FORMAT_VALUES);
        // PEFT's target_modules is a list or a text.
        config.forTypesInGeneral().withCustomDefinitionProvider((type, context) -> {
            if (type.getErasedType() != TargetModules.class) {
                return null;
            }
            ObjectNode definition = context.getGeneratorConfig().createObjectNode();
            definition.putArray("type").add("array").add("string");
            definition.putObject("items").put("type", "string").put("minLength", 1);
            definition.put("minItems", 1).put("minLength", 1).put("maxLength", 1000);
            return new CustomDefinition(definition, true);
        });
        // Variables of a chat template may be anything.
        config.forTypesInGeneral()
                .withCustomDefinitionProvider((type, context) -> type.getErasedType() == Map.class
                        ? new CustomDefinition(
                                context.getGeneratorConfig()
                                        .createObjectNode()
                                        .put("type", "object")
                                        .put("maxProperties", 100),
                                CustomDefinition.DefinitionType.INLINE,
                                CustomDefinition.AttributeInclusion.NO)
                        : null);
        // Properties in the order of the record, which is the order in which one explains them.
        config.forTypesInGeneral().withPropertySorter((first, second) -> 0);
        config.forFields()
                .withRequiredCheck(field -> field.getDeclaredType().isPrimitive())
                .withNumberInclusiveMaximumResolver(field ->
                        field.getType().isInstanceOf(Integer.class) ? BigDecimal.valueOf(Integer.MAX_VALUE) : null)
                .withPropertyNameOverrideResolver(field -> SNAKE_CASE.translate(field.getDeclaredName()))
                .withDefaultResolver(field -> {
                    JsonProperty property = field.getAnnotationConsideringFieldAndGetter(JsonProperty.class);
                    return property == null || property.defaultValue().isEmpty() || field.isFakeContainerItemScope()
                            ? null
                            : literal(property.defaultValue());
                });
        return new SchemaGenerator(config.build());
    }

    /** "16" is the number 16, "linear" the string. */
    private static Object literal(String text) {
        try {
            return Json.MAPPER.readTree(text);
        } catch (JsonProcessingException notJson) {
            return text;
        }
    }
}
