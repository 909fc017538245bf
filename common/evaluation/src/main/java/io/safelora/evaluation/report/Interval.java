package io.safelora.evaluation.report;

/**
 * What chance leaves open of a value.
 *
 * @param lower in the value's unit
 * @param name what kind of interval it is, such as "95 % Wilson interval"; nowhere is one shown without it
 */
public record Interval(double lower, double upper, String name) {}
