const OWN_SETTINGS = /^GEARMESH_/;

/** Our environment without the settings in it, which are not meant for another coordinator. */
export function surroundings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !OWN_SETTINGS.test(name)));
}
