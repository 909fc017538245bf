package io.safelora.standalone.observability;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The metrics that Grafana dashboards and Prometheus rules ask for, and those that a service exports. */
public final class MetricNames {
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory()); // JSON is YAML
    private static final Pattern STRING = Pattern.compile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'");
    private static final Pattern BRACES = Pattern.compile("\\{[^{}]*}");
    private static final Pattern RANGE = Pattern.compile("\\[[^\\[\\]]*]");
    private static final Pattern LABEL_LIST =
            Pattern.compile("\\b(by|without|on|ignoring|group_left|group_right)\\s*\\([^()]*\\)");
    private static final Pattern NAME = Pattern.compile("[a-zA-Z_:][a-zA-Z0-9_:]*+(?!\\s*\\()");
    private static final Set<String> WORDS = Set.of(
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "and",
            "or",
            "unless",
            "bool",
            "offset",
            "inf",
            "nan");
    // Made by Prometheus itself for every target it scrapes.
    private static final Set<String> OF_PROMETHEUS = Set.of("up", "scrape_duration_seconds", "ALERTS");

    private MetricNames() {}

    /**
     * What the files ask for and {@code scrape} does not have.
     *
     * @param files dashboards (JSON) and rule files (YAML): every field {@code expr}, {@code query} or {@code
     *     definition} is PromQL
     * @param scrape what /q/metrics answered
     * @return metric name to the file that asks for it; empty if all is well
     * @throws IllegalStateException if a file asks for no metric at all
     */
    public static Map<String, String> missing(List<Path> files, String scrape) throws IOException {
        Set<String> exported = exported(scrape);
        Map<String, String> missing = new TreeMap<>();
        for (Path file : files) {
            Set<String> wanted = wanted(file);
            if (wanted.isEmpty()) {
                throw new IllegalStateException(file + " asks for no metric");
            }
            wanted.stream()
                    .filter(name -> !exported.contains(name) && !OF_PROMETHEUS.contains(name))
                    .forEach(name -> missing.put(name, file.getFileName().toString()));
        }
        return missing;
    }

    /** The metrics that one dashboard or rule file asks for. */
    public static Set<String> wanted(Path file) throws IOException {
        Set<String> names = new TreeSet<>();
        collect(YAML.readTree(Files.readString(file)), names);
        return names;
    }

    /** The names of the samples of a scrape in Prometheus' text format. */
    public static Set<String> exported(String scrape) {
        Set<String> names = new TreeSet<>();
        scrape.lines()
                .filter(line -> !line.startsWith("#") && !line.isBlank())
                .forEach(line -> names.add(line.split("[{ ]", 2)[0]));
        return names;
    }

    /** The metrics in an expression of PromQL. */
    static Set<String> inPromQl(String promQl) {
        String bare = STRING.matcher(promQl).replaceAll("");
        bare = BRACES.matcher(bare).replaceAll("");
        bare = RANGE.matcher(bare).replaceAll("");
        bare = LABEL_LIST.matcher(bare).replaceAll(" ");
        bare = bare.replaceAll("\\$\\w+", " ")
                .replaceAll("\\boffset\\s+\\w+", " ")
                .replaceAll("\\b[0-9][0-9.eE]*[a-z]*", " ");
        Set<String> names = new TreeSet<>();
        Matcher matcher = NAME.matcher(bare);
        while (matcher.find()) {
            if (!WORDS.contains(matcher.group().toLowerCase(java.util.Locale.ROOT))) {
                names.add(matcher.group());
            }
        }
        return names;
    }

    private static void collect(JsonNode node, Set<String> names) {
        if (node.isObject()) {
            for (String field : List.of("expr", "query", "definition")) {
                JsonNode value = node.get(field);
                if (value != null && value.isTextual()) {
                    Matcher labels = Pattern.compile("label_values\\((?:(.*),)?\\s*\\w+\\s*\\)")
                            .matcher(value.asText());
                    names.addAll(inPromQl(
                            labels.matches() ? (labels.group(1) == null ? "" : labels.group(1)) : value.asText()));
                }
            }
        }
        node.forEach(child -> collect(child, names));
    }
}
