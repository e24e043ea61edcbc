/** Light or dark: as the machine says, unless it was switched here. */
import { useState } from "preact/hooks"

const stored = "flaredb-theme"
const themes = ["auto", "light", "dark"] as const
type Theme = typeof themes[number]

const currentTheme = (): Theme => {
  const found = localStorage.getItem(stored)
  return themes.find((theme) => theme === found) ?? "auto"
}

export const applyTheme = (): void => {
  document.documentElement.dataset["theme"] = currentTheme()
}

/** Told when colours change, for what is drawn and not styled. */
export const whenThemeChanges = (listener: () => void): () => void => {
  const media = matchMedia("(prefers-color-scheme: dark)")
  media.addEventListener("change", listener)
  addEventListener("flaredb-theme", listener)
  return () => {
    media.removeEventListener("change", listener)
    removeEventListener("flaredb-theme", listener)
  }
}

export const ThemeSwitch = () => {
  const [theme, setTheme] = useState(currentTheme)
  const change = (next: string) => {
    localStorage.setItem(stored, next)
    applyTheme()
    setTheme(currentTheme())
    dispatchEvent(new Event("flaredb-theme"))
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
