/**
 * report.html and report.json: what a job found, for people. {@link io.safelora.evaluation.report.ReportFacts} has the
 * facts, a record for each section; the pictures ({@code HeatMap}, {@code PlanePicture}, {@code LossPicture}) turn
 * facts into positions; the template puts both on one page, and adds nothing.
 */
package io.safelora.evaluation.report;
