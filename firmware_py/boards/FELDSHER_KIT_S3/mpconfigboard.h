// The ECG kit: no prompt, no network, no file system; Bluetooth with bonding.

#define MICROPY_HW_BOARD_NAME               "feldsher kit S3"
#define MICROPY_HW_MCU_NAME                 "ESP32S3"

// No interactive prompt anywhere on a kit that leaves the workshop. UART 0 still shows exceptions.
#define MICROPY_HW_ENABLE_USBDEV            (0)
#define MICROPY_HW_ENABLE_UART_REPL         (1)
#define MICROPY_REPL_EVENT_DRIVEN           (0)

#define MICROPY_PY_NETWORK                  (0)
#define MICROPY_PY_NETWORK_WLAN             (0)
#define MICROPY_PY_ESPNOW                   (0)
#define MICROPY_PY_WEBREPL                  (0)
#define MICROPY_PY_SOCKET_EVENTS            (0)

#define MICROPY_PY_BLUETOOTH                (1)
#define MICROPY_PY_BLUETOOTH_ENABLE_PAIRING_BONDING (1)
#define MICROPY_PY_ESP32_PCNT               (1)
