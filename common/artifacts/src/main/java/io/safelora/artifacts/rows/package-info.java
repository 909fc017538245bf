/**
 * Rows of data files as JSON objects: JSON Lines, JSON arrays, CSV, TSV and Parquet, compressed or not. Everything that
 * reads rows (training, evaluation) reads them here, so that a file means the same to all. Files are hostile input: the
 * size of a row and of all rows, nesting and compression are bounded.
 */
package io.safelora.artifacts.rows;
