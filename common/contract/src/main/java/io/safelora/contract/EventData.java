package io.safelora.contract;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Reads the data of an event that came from outside, and says which field is wrong when one is. */
public final class EventData {
    private EventData() {}

    /**
     * The record in {@code json}: an instance of {@code type.data()}.
     *
     * @param json the value of the Kafka record, UTF-8
     * @throws InvalidJobException if it is no JSON or does not match the event's schema; the message is one line
     */
    public static Object read(Topics.EventType type, byte[] json) {
        if (type.data() == JobRequest.class) {
            return JobDocument.parse(new String(json, StandardCharsets.UTF_8));
        }
        JsonNode document;
        try {
            document = Json.MAPPER.readTree(json);
        } catch (IOException e) {
            throw new InvalidJobException("the data of " + type.type() + " is no JSON", e);
        }
        return Validation.read(document, type.data(), "the data of " + type.type());
    }
}
