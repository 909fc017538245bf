/**
 * The command line: {@code ./safelora}. One class per command or small group of commands; the options of a job come
 * from the records of the contract.
 */
package io.safelora.standalone.cli;
