/** A value as text, JSON or hex: the first form that fits, until another one is chosen. */
import { useState } from "preact/hooks"
import { hexDump, jsonOf, readable } from "./Bytes.ts"

const forms = ["JSON", "text", "hex"] as const
export type Form = typeof forms[number]

/** Bytes of a value that a hex dump shows: it takes five times the room. */
const maxHexBytes = 64 * 1024

export const fittingForm = (value: Uint8Array): Form =>
  jsonOf(value) !== undefined ? "JSON" : readable(value) !== undefined ? "text" : "hex"

/** The value in a form; in hex when it has not got that form. */
export const inForm = (value: Uint8Array, form: Form): string =>
  (form === "JSON" ? jsonOf(value) : form === "text" ? readable(value) : undefined) ??
    `${hexDump(value.subarray(0, maxHexBytes))}${value.length > maxHexBytes ? "\n…" : ""}`

export const FormSwitch = (
  { form, onForm, value }: {
    readonly form: Form
    readonly onForm: (form: Form) => void
    readonly value: Uint8Array
  }
) => (
  <fieldset class="forms">
    <legend class="hidden">Show the value as</legend>
    {forms.map((one) => (
      <label key={one}>
        <input
          type="radio"
          name="form"
          checked={form === one}
          disabled={(one === "JSON" && jsonOf(value) === undefined) ||
            (one === "text" && readable(value) === undefined)}
          onChange={() => onForm(one)}
        />
        {one}
      </label>
    ))}
  </fieldset>
)

export const ValueView = ({ value }: { readonly value: Uint8Array }) => {
  const [chosen, setChosen] = useState<Form>()
  const form = chosen ?? fittingForm(value)
  return (
    <>
      <FormSwitch form={form} onForm={setChosen} value={value} />
      {value.length === 0
        ? <p class="quiet">The value is empty.</p>
        : <pre class="value" tabIndex={0} aria-label={`Value as ${form}`}>{inForm(value, form)}</pre>}
    </>
  )
}
