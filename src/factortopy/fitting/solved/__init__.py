"""What has a closed form: ridge regressions, their candidates and penalties, the channels of every voxel."""
