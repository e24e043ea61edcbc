/**
 * Commands that are kept decoded from when they were checked until they are applied: so many of those that wait, and of
 * so many bytes each. A node that applies more slowly than it takes commands decodes the others again: that takes a
 * microsecond, and 900 bytes which wait for long cost V8 more.
 */
export const maxKeptCommands = 512
export const maxKeptCommandBytes = 1_024
