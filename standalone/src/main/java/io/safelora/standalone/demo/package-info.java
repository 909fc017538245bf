/** The demo's models and data, and the program that makes them again. */
package io.safelora.standalone.demo;
