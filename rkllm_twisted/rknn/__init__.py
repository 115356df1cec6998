"""Vision encoders in Rockchip's RKNN format, through librknnrt."""
