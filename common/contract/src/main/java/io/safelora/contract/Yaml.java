package io.safelora.contract;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BigIntegerNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.math.BigInteger;
import java.util.regex.Pattern;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.composer.Composer;
import org.yaml.snakeyaml.error.Mark;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.NodeTuple;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;
import org.yaml.snakeyaml.nodes.Tag;
import org.yaml.snakeyaml.parser.ParserImpl;
import org.yaml.snakeyaml.reader.StreamReader;
import org.yaml.snakeyaml.resolver.Resolver;

/**
 * YAML as its version 1.2 reads it, where every JSON value means the same: {@code 2e-4} is a number, {@code no} and
 * {@code 2024-01-01} are strings. SnakeYAML's own types are those of version 1.1, in which {@code learning_rate: 2e-4}
 * is a string.
 */
final class Yaml {
    private static final int MAX_NUMBER_CHARS = 100;

    private final String what;

    private Yaml(String what) {
        this.what = what;
    }

    /**
     * The one document in {@code text}; a missing node if there is none.
     *
     * @param what what it is, for messages: "the job document"
     * @throws InvalidJobException if it is not YAML, or uses what a hostile document would: references to mappings and
     *     lists (which can grow without bounds), deep nesting, tags of other types
     */
    static JsonNode read(String text, String what) {
        LoaderOptions options = new LoaderOptions();
        options.setMaxAliasesForCollections(0);
        options.setNestingDepthLimit(50);
        options.setCodePointLimit(Integer.MAX_VALUE); // whoever calls this bounds the text
        try {
            Node root =
                    new Composer(new ParserImpl(new StreamReader(text), options), new Core(), options).getSingleNode();
            return root == null ? MissingNode.getInstance() : new Yaml(what).node(root);
        } catch (MarkedYAMLException e) {
            throw new InvalidJobException(
                    what + " is neither YAML nor JSON: " + e.getProblem() + at(e.getProblemMark()), e);
        } catch (YAMLException e) {
            String message = e.getMessage().startsWith("Number of aliases")
                    ? what + " refers to a mapping or a list by an alias (*name); write it out instead"
                    : what + " is neither YAML nor JSON: "
                            + e.getMessage().lines().findFirst().orElse("");
            throw new InvalidJobException(message, e);
        }
    }

    private JsonNode node(Node node) {
        if (node instanceof MappingNode mapping) {
            var object = JsonNodeFactory.instance.objectNode();
            for (NodeTuple entry : mapping.getValue()) {
                if (!(entry.getKeyNode() instanceof ScalarNode key)) {
                    throw refused(entry.getKeyNode(), "a mapping's key is not a plain name");
                }
                if (object.has(key.getValue())) {
                    throw refused(key, key.getValue() + " is given twice");
                }
                object.set(key.getValue(), node(entry.getValueNode()));
            }
            return object;
        }
        if (node instanceof SequenceNode sequence) {
            var array = JsonNodeFactory.instance.arrayNode();
            sequence.getValue().forEach(element -> array.add(node(element)));
            return array;
        }
        return scalar((ScalarNode) node);
    }

    private JsonNode scalar(ScalarNode node) {
        String value = node.getValue();
        Tag tag = node.getTag();
        if (tag.equals(Tag.STR)) {
            return TextNode.valueOf(value);
        }
        if (tag.equals(Tag.NULL)) {
            return NullNode.getInstance();
        }
        if (tag.equals(Tag.BOOL)) {
            return BooleanNode.valueOf(Boolean.parseBoolean(value));
        }
        if (value.length() > MAX_NUMBER_CHARS) {
            throw refused(node, "a number has more than " + MAX_NUMBER_CHARS + " digits");
        }
        try {
            if (tag.equals(Tag.INT)) {
                BigInteger number = new BigInteger(value);
                return number.bitLength() < Integer.SIZE
                        ? IntNode.valueOf(number.intValue())
                        : number.bitLength() < Long.SIZE
                                ? LongNode.valueOf(number.longValue())
                                : BigIntegerNode.valueOf(number);
            }
            if (tag.equals(Tag.FLOAT)) {
                return DoubleNode.valueOf(Double.parseDouble(value));
            }
        } catch (NumberFormatException e) {
            throw refused(node, "not a number: " + value);
        }
        throw refused(node, "values of type " + tag.getValue() + " are not read");
    }

    private InvalidJobException refused(Node node, String why) {
        return new InvalidJobException(what + ": " + why + at(node.getStartMark()));
    }

    private static String at(Mark mark) {
        return mark == null ? "" : " (line " + (mark.getLine() + 1) + ", column " + (mark.getColumn() + 1) + ")";
    }

    /** The core schema of YAML 1.2.2, section 10.3, without octal, hexadecimal, infinite and missing numbers. */
    private static final class Core extends Resolver {
        @Override
        protected void addImplicitResolvers() {
            addImplicitResolver(Tag.BOOL, Pattern.compile("true|True|TRUE|false|False|FALSE"), "tTfF");
            addImplicitResolver(Tag.NULL, Pattern.compile("~|null|Null|NULL"), "~nN");
            addImplicitResolver(Tag.NULL, Pattern.compile("^$"), null);
            addImplicitResolver(Tag.INT, Pattern.compile("[-+]?(?:0|[1-9][0-9]*)"), "-+0123456789");
            addImplicitResolver(
                    Tag.FLOAT,
                    Pattern.compile("[-+]?(?:(?:0|[1-9][0-9]*)(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][-+]?[0-9]+)?"),
                    "-+.0123456789");
        }
    }
}
