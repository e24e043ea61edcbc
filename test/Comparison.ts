/**
 * What the deep comparisons of all tests see beyond chai's own (`assert.deepStrictEqual`, `assert.deepEqual`, `assert.deepInclude` …):
 *
 * - fields of errors. chai compares names, messages and codes only, so two tagged errors with other fields are equal to it;
 * - the order of a Map, which is what a scan or a log means by it. Node's own `assert` ignores it as well. Sets have none.
 *
 * `vitest.config.ts` loads this before each file of tests; `test/architecture/comparisons.test.ts` holds that it does.
 */
import { chai } from "vitest"

const fieldsOf = (error: Error): Readonly<Record<string, unknown>> => ({
  ...error,
  name: error.name,
  message: error.message,
  cause: error.cause,
  class: Object.getPrototypeOf(error) as unknown
})

/** Whether two values, or parts of values, are equal; `null` where chai is to say. */
const comparator = (left: unknown, right: unknown): boolean | null => {
  if (left === right) return true
  if (left instanceof Error && right instanceof Error) {
    const { class: leftClass, ...leftFields } = fieldsOf(left)
    const { class: rightClass, ...rightFields } = fieldsOf(right)
    return leftClass === rightClass && equal(leftFields, rightFields)
  }
  if (left instanceof Map && right instanceof Map) return equal([...left], [...right])
  // Otherwise byte for byte, with a call for each.
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right) === 0
  return null
}

const equal = (left: unknown, right: unknown): boolean => chai.util.eql(left, right, { comparator })

chai.config.deepEqual = equal

// A proxy around each assertion would find misspelt names, as the type checker does. It took a tenth of some files' time.
chai.config.useProxy = false
