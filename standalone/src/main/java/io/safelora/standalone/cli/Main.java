package io.safelora.standalone.cli;

import io.quarkus.runtime.annotations.QuarkusMain;

/** The entry of {@code ./safelora}. Quarkus itself starts only for the commands that need the services. */
@QuarkusMain
public final class Main {
    private Main() {}

    public static void main(String... args) {
        System.exit(SafeLoraCommand.execute(args));
    }
}
