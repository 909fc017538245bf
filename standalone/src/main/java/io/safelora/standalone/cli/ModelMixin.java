package io.safelora.standalone.cli;

import picocli.CommandLine.Option;

/** Where a model runs and in what. */
final class ModelMixin {
    @Option(names = "--device", defaultValue = "auto", description = "auto (default), cpu, cuda or cuda:N")
    String device;

    @Option(names = "--dtype", defaultValue = "auto", description = "auto (the checkpoint's own), float32, bfloat16")
    String dtype;
}
