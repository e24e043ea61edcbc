/** Light or dark: as the machine says, unless it was switched here. */
import { useState } from "preact/hooks"

const stored = "flaredb-theme"
const themes = ["auto", "light", "dark"] as const
type Theme = typeof themes[number]

const currentTheme = (): Theme => {
  const found = localStorage.getItem(stored)
  return themes.find((theme) => theme === found) ?? "auto"
}

const darkMachine = matchMedia("(prefers-color-scheme: dark)")
const changed = "flaredb-theme"

const apply = (): void => {
  const theme = currentTheme()
  document.documentElement.dataset["theme"] = theme === "auto" ? darkMachine.matches ? "dark" : "light" : theme
  dispatchEvent(new Event(changed))
}

/** Colours the page, and does so again when the machine's colours change. */
export const followTheme = (): void => {
  apply()
  darkMachine.addEventListener("change", apply)
}

/** Told when colours change, for what is drawn and not styled. */
export const whenThemeChanges = (listener: () => void): () => void => {
  addEventListener(changed, listener)
  return () => removeEventListener(changed, listener)
}

export const ThemeSwitch = () => {
  const [theme, setTheme] = useState(currentTheme)
  const change = (next: string) => {
    localStorage.setItem(stored, next)
    apply()
    setTheme(currentTheme())
  }
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select value={theme} onChange={(event) => change(event.currentTarget.value)}>
        <option value="auto">Auto colours</option>
        <option value="light">Light colours</option>
        <option value="dark">Dark colours</option>
      </select>
    </label>
  )
}
