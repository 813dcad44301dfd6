/** Where Espressif's tool puts its images and keys. */
export const DATA_FOLDER = "esp_secure_cert_data";
/** Its image. */
export const IMAGE_PATH = `${DATA_FOLDER}/esp_secure_cert.bin`;
/** Its signed image. */
export const SIGNED_PATH = `${DATA_FOLDER}/esp_secure_cert_signed.bin`;
/** Where it puts what an image holds. */
export const PARSED_FOLDER = "esp_secure_cert_parsed_data";
