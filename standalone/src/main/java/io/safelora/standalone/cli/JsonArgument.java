package io.safelora.standalone.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;

/** Options whose value is JSON. */
final class JsonArgument {
    private JsonArgument() {}

    /**
     * Puts the value of {@code --some-option} into {@code options} as {@code some_option}, unless it was not given.
     *
     * @throws InvalidInputException naming the option, if it is not JSON
     */
    static void put(ObjectNode options, String field, String given) {
        if (given == null) {
            return;
        }
        try {
            options.set(field, Json.MAPPER.readTree(given));
        } catch (JsonProcessingException e) {
            throw new InvalidInputException(
                    "--" + field.replace('_', '-') + ": not JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse("") + "; give an object in quotes",
                    e);
        }
    }
}
