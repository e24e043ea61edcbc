/** JSON keeps the last value of a name that is there twice. */
import { assert, describe, it } from "@effect/vitest"
import { repeatedName } from "../src/RepeatedName.ts"

describe("a name that is there twice", () => {
  it("is found in the object that has it", () => {
    const twice = ["{\"a\":1,\"a\":2}", "{\"b\":[{\"a\":1 , \"a\" : 2}]}", "{\"a\":{},\"\\u0061\":1}"]
    for (const text of twice) assert.strictEqual(repeatedName(text), "a", text)
  })

  it("is not found where names are values, or of different objects", () => {
    const once = [
      "{\"a\":\"a\",\"b\":[\"a\",\"a\"]}",
      "[{\"a\":1},{\"a\":2}]",
      "{\"a\":{\"a\":1}}",
      "{\"a\":\"{\\\"b\\\":1,\\\"b\\\":2}\"}"
    ]
    for (const text of once) assert.isUndefined(repeatedName(text), text)
  })

  it("is found behind strings as long as a body may be, and behind escaped quotes", () => {
    for (const long of ["x".repeat(8 << 20), "\\n".repeat(4 << 20), "\\\"".repeat(4 << 20), "\\\\".repeat(4 << 20)]) {
      assert.isUndefined(repeatedName(`{"a":"${long}","b":1}`))
      assert.strictEqual(repeatedName(`{"a":"${long}","a":1}`), "a")
    }
  })
})
