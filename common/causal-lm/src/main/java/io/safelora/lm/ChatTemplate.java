package io.safelora.lm;

import java.nio.file.Path;

public final class ChatTemplate {
    public static ChatTemplate load(Path d) {
        return new ChatTemplate();
    }
}
