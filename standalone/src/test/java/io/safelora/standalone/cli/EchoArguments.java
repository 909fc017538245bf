package io.safelora.standalone.cli;

/** A program that prints what the launcher gave it. */
public final class EchoArguments {
    private EchoArguments() {}

    public static void main(String[] args) {
        for (String argument : args) {
            System.out.println(argument);
        }
    }
}
